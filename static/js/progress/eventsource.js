/** One stream over the browser's EventSource: opened once, it tells what arrives and, once, that it is over. */

import { CLOCK, TIMINGS } from "./clock.js";
import { parseCursor } from "./cursor.js";

const VERBS = ["progress", "complete", "failed", "cancelled"];
const JOB_TYPES = ["parse", "audio", "book"].flatMap((prefix) => VERBS.map((verb) => `${prefix}:${verb}`));
const EVENT_TYPES = [...JOB_TYPES, "project:changed"];
const CONTROL_TYPES = ["ready", "reset", "goodbye", "reauth", "heartbeat"];
const LATE_MS = 3000;

/**
 * Why a stream is over: it failed, nothing was heard for too long, or nothing could be heard because the page stood
 * still, which is nobody's fault.
 *
 * @typedef {"error" | "silent" | "stale"} StreamEnd
 */

/**
 * @typedef {object} StreamHandlers
 * @property {(event: import("./reducer.js").StoredEvent) => void} onEvent
 * @property {(type: string, data: Record<string, any>) => void} onControl `ready`, `reset`, `goodbye`, `reauth`
 * @property {(reason: StreamEnd) => void} onEnd not called after `close()`
 */

/**
 * Ends on the first error, although an EventSource would retry by itself: its own retries repeat the first cursor, have
 * no jitter, and stop for good on an HTTP error. Ends too when heartbeats stop: a dead link raises no error.
 */
export class EventSourceStream {
  #source;
  #handlers;
  #grace;
  #silenceMs;
  #heardAt = CLOCK.now();
  #watchdog = 0;
  #over = false;

  /**
   * @param {string} address
   * @param {StreamHandlers} handlers
   * @param {import("./clock.js").Timings} [timings]
   */
  constructor(address, handlers, timings = TIMINGS) {
    this.#handlers = handlers;
    this.#grace = timings.grace;
    this.#silenceMs = timings.ready * 1000;
    this.#source = new EventSource(address);
    this.#source.onerror = () => this.#end("error");
    for (const type of EVENT_TYPES) this.#source.addEventListener(type, (message) => this.#event(message));
    for (const type of CONTROL_TYPES) this.#source.addEventListener(type, (message) => this.#control(message));
    this.#watch(this.#silenceMs);
  }

  close() {
    this.#over = true;
    clearTimeout(this.#watchdog);
    this.#source.close();
  }

  /** Ends at once where nothing was heard for too long while timers stood still. */
  check() {
    if (CLOCK.now() - this.#heardAt > this.#silenceMs) this.#end("stale");
  }

  /** @param {MessageEvent<string>} message */
  #event(message) {
    this.#heardAt = CLOCK.now();
    if (!parseCursor(message.lastEventId)) return;
    this.#handlers.onEvent({ id: message.lastEventId, type: message.type, data: JSON.parse(message.data) });
  }

  /** @param {MessageEvent<string>} message */
  #control(message) {
    this.#heardAt = CLOCK.now();
    const data = message.data ? JSON.parse(message.data) : {};
    if (message.type === "ready") {
      this.#silenceMs = (2 * (data.heartbeatSeconds ?? 15) + this.#grace) * 1000;
      this.#watch(this.#silenceMs);
    }
    if (message.type !== "heartbeat") this.#handlers.onControl(message.type, data);
  }

  /** @param {number} ms until it has been silent for too long, if nothing is heard */
  #watch(ms) {
    clearTimeout(this.#watchdog);
    // A handler may have closed the stream in the meantime.
    if (this.#over) return;
    const due = CLOCK.now() + ms;
    this.#watchdog = Number(
      setTimeout(() => {
        const left = this.#heardAt + this.#silenceMs - CLOCK.now();
        if (left > 0) this.#watch(left);
        else this.#end(CLOCK.now() - due > LATE_MS ? "stale" : "silent");
      }, ms),
    );
  }

  /** @param {StreamEnd} reason */
  #end(reason) {
    if (this.#over) return;
    this.close();
    this.#handlers.onEnd(reason);
  }
}
