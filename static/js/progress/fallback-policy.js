/** What is held against streams: whether the long poll carries instead, why, and when a stream is tried again. */

import { CLOCK, TIMINGS } from "./clock.js";

export class FallbackPolicy {
  #clock;
  #timings;
  #random;
  #readyAt = 0;
  /** Streams in a row that were cut before they had lasted. */
  #strikes = 0;
  /** @type {string | null} */
  #reason = null;
  /** Whether the poll has shown that the server is there, and streams are to blame. */
  #proved = false;
  #probes = 0;

  /** @param {Partial<Pick<import("./connection.js").Parts, "clock" | "timings" | "random">>} [parts] */
  constructor({ clock = CLOCK, timings = TIMINGS, random = Math.random } = {}) {
    this.#clock = clock;
    this.#timings = timings;
    this.#random = random;
  }

  /** Why the poll carries instead of a stream; null where it does not. */
  get reason() {
    return this.#reason;
  }

  /** A stream has come through. One that has a fallback behind it must last, or is given up. */
  ready() {
    this.#readyAt = this.#clock.now();
    if (this.#reason) this.#strikes = 1;
    this.#reason = null;
  }

  /** A stream that had come through was cut. @returns {boolean} whether that is a proxy's doing */
  cut() {
    const lasted = this.#clock.now() - this.#readyAt >= this.#timings.lasting * 1000;
    this.#strikes = lasted ? 0 : this.#strikes + 1;
    if (lasted) this.#probes = 0;
    return this.#strikes >= 2;
  }

  /** No stream comes through. @param {string} reason */
  lose(reason) {
    this.#reason = reason;
    this.#proved = false;
  }

  /** The poll was answered: it was not the server. */
  prove() {
    this.#proved = true;
  }

  /** The server is away: that explains what was not proved. */
  excuse() {
    this.#strikes = 0;
    if (!this.#proved) this.#reason = null;
  }

  /** Seconds to the next probe: each twice as many, up to a longest, so that what is hopeless costs little. */
  nextProbe() {
    const { probe, longestProbe } = this.#timings;
    const seconds = Math.min(longestProbe, probe * 2 ** Math.min(this.#probes, 30));
    this.#probes += 1;
    return seconds * (0.9 + 0.2 * this.#random());
  }
}
