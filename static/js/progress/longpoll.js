/** The long poll: one request after the other, each from where the last one ended. */

import { CLOCK, TIMINGS } from "./clock.js";

const GATHER_MS = 200;
const EMPTY_MS = 1000;

/**
 * @typedef {object} PollHandlers
 * @property {() => string | null} cursor where to go on
 * @property {(answer: import("./endpoint.js").Answer) => void} onAnswer
 * @property {(error: unknown, elapsedSeconds: number) => void} onEnd a request failed, so many seconds after it was
 *   sent; not called after `close()`
 */

/** Goes on until a request fails or it is closed. The first request does not wait: it brings what was missed. */
export class LongPoll {
  #endpoint;
  #handlers;
  #wait;
  #clock;
  #stop = new AbortController();

  /**
   * @param {Pick<import("./endpoint.js").Endpoint, "poll">} endpoint
   * @param {PollHandlers} handlers
   * @param {{wait?: number, clock?: import("./clock.js").Clock}} [options] `wait`: seconds that the server is to wait
   */
  constructor(endpoint, handlers, { wait = TIMINGS.wait, clock = CLOCK } = {}) {
    this.#endpoint = endpoint;
    this.#handlers = handlers;
    this.#wait = wait;
    this.#clock = clock;
    this.#run();
  }

  close() {
    this.#stop.abort();
  }

  async #run() {
    const { signal } = this.#stop;
    let wait = 0;
    while (!signal.aborted) {
      const began = this.#clock.now();
      try {
        const answer = await this.#endpoint.poll(this.#handlers.cursor(), wait, signal);
        if (signal.aborted) return;
        this.#handlers.onAnswer(answer);
        await this.#pause(answer, this.#clock.now() - began, wait > 0);
        wait = this.#wait;
      } catch (error) {
        if (!signal.aborted) this.#handlers.onEnd(error, (this.#clock.now() - began) / 1000);
        return;
      }
    }
  }

  /**
   * Where much happens, it is fetched in batches; a server that does not wait is not asked all the time.
   *
   * @param {import("./endpoint.js").Answer} answer
   * @param {number} elapsedMs
   * @param {boolean} waited
   */
  async #pause({ events }, elapsedMs, waited) {
    const ms = events.length ? GATHER_MS : waited && elapsedMs < EMPTY_MS ? EMPTY_MS : 0;
    if (ms) await new Promise((resolve) => this.#clock.setTimeout(() => resolve(undefined), ms));
  }
}
