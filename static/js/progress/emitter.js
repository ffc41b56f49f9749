/** Listeners by name; adding one returns the function that removes it. */

export class Emitter {
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {(value: any) => void} listener
   * @returns {() => void} its unsubscribe function
   */
  on(name, listener) {
    // Wrapped, so that the same function added twice is two listeners, each with its own unsubscribe.
    const entry = (/** @type {any} */ value) => listener(value);
    const entries = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, entries.add(entry));
    return () => void entries.delete(entry);
  }

  /**
   * A listener that throws is reported and does not keep the others from hearing.
   *
   * @param {string} name
   * @param {any} value
   */
  emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
