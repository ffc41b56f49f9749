/** Gathers what has changed and paints it once a frame, however many events came in between. */

export class PaintQueue {
  #paint;
  #dirty = new Set();
  #requested = false;

  /** @param {(keys: Set<string>) => void} paint */
  constructor(paint) {
    this.#paint = paint;
  }

  /** @param {string} key what is to be painted in the next frame */
  mark(key) {
    this.#dirty.add(key);
    if (this.#requested) return;
    this.#requested = true;
    requestAnimationFrame(() => {
      const keys = this.#dirty;
      this.#dirty = new Set();
      this.#requested = false;
      this.#paint(keys);
    });
  }
}
