/** How long to wait before trying again: full jitter under a ceiling that doubles. */

/**
 * Delays drawn evenly from 0 to a ceiling that doubles from `baseSeconds` up to `capSeconds`; it never gives up.
 * Full jitter keeps thousands of clients that lost the same server from coming back at the same moment.
 */
export class Backoff {
  #base;
  #cap;
  #random;
  #attempt = 0;

  /** @param {{baseSeconds?: number, capSeconds?: number, random?: () => number}} [options] */
  constructor({ baseSeconds = 1, capSeconds = 30, random = Math.random } = {}) {
    this.#base = baseSeconds;
    this.#cap = capSeconds;
    this.#random = random;
  }

  /** @returns {number} seconds to wait before the next try */
  next() {
    const ceiling = Math.min(this.#cap, this.#base * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return this.#random() * ceiling;
  }

  reset() {
    this.#attempt = 0;
  }
}
