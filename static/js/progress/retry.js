/** Trying again after a failure, later and later: one timer, and how long it has still to run. */

import { Backoff } from "./backoff.js";
import { CLOCK } from "./clock.js";

export class Retry {
  #again;
  #clock;
  #backoff;
  #timer = 0;
  #dueAt = 0;

  /**
   * @param {() => void} again what is tried
   * @param {{clock?: import("./clock.js").Clock, random?: () => number}} [options]
   */
  constructor(again, { clock = CLOCK, random = Math.random } = {}) {
    this.#again = again;
    this.#clock = clock;
    this.#backoff = new Backoff({ random });
  }

  /** Whether it waits. */
  get waiting() {
    return this.#timer !== 0;
  }

  /** Seconds to the next try; undefined where none is awaited. */
  get secondsLeft() {
    return this.waiting ? Math.max(0, (this.#dueAt - this.#clock.now()) / 1000) : undefined;
  }

  /**
   * Tries again after a while.
   *
   * @param {{atLeast?: number, exactly?: number}} [seconds] `atLeast`: as the server asked; `exactly`: as it chose
   */
  later({ atLeast = 0, exactly } = {}) {
    this.cancel();
    const seconds = exactly ?? atLeast + this.#backoff.next();
    this.#dueAt = this.#clock.now() + seconds * 1000;
    this.#timer = this.#clock.setTimeout(() => this.now(), seconds * 1000);
  }

  now() {
    this.cancel();
    this.#again();
  }

  cancel() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = 0;
  }

  /** All is well: the next failure is a first one again. */
  reset() {
    this.#backoff.reset();
  }
}
