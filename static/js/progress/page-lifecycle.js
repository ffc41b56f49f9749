/** When the page goes to sleep and wakes up, and when its network comes and goes. */

/**
 * @typedef {object} WakeupHandlers
 * @property {(why: "shown" | "online" | "offline") => void} onWake
 * @property {() => void} onSleep the page is frozen, or left and perhaps kept for the way back: nothing runs any more
 * @property {() => void} onResume it runs again
 */

export class PageLifecycle {
  #handlers;
  #stop = new AbortController();

  /** @param {WakeupHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  listen() {
    const { onWake, onSleep, onResume } = this.#handlers;
    this.#on(document, "visibilitychange", () => document.visibilityState === "visible" && onWake("shown"));
    this.#on(window, "online", () => onWake("online"));
    this.#on(window, "offline", () => onWake("offline"));
    this.#on(document, "freeze", onSleep);
    this.#on(document, "resume", onResume);
    this.#on(window, "pagehide", onSleep);
    this.#on(window, "pageshow", onResume);
  }

  close() {
    this.#stop.abort();
  }

  /** @param {EventTarget} target @param {string} type @param {() => void} listener */
  #on(target, type, listener) {
    target.addEventListener(type, listener, { signal: this.#stop.signal });
  }
}
