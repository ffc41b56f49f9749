/**
 * Which of a browser's tabs holds the connection: the one that holds a lock, as long as it gives signs of life.
 *
 * - Each tab asks for the lock; whoever gets it leads, and tells so each second. When a tab is closed the browser gives
 *   its lock to the next.
 * - A tab that is frozen, or whose script hangs, keeps its lock. Others who have not heard its beat ask for a sign of
 *   life, and take the lock away where none comes. To ask first matters: a tab in the background is not frozen, but its
 *   timers are slow; it answers messages all the same.
 * - A leader that wakes up finds its lock taken and follows. Until it does, two lead: that costs a connection, and
 *   nothing else, because events are told by id.
 * - Where a browser has no locks (they need https or localhost) or no channels, every tab leads itself.
 */

import { CLOCK, TIMINGS } from "./clock.js";

/** @typedef {{post(message: unknown): void, close(): void}} Channel */
/** @typedef {{request(name: string, options: LockOptions, callback: () => unknown): Promise<unknown>}} Locks */

/**
 * @typedef {object} Browser
 * @property {Locks | undefined} locks
 * @property {((name: string, onMessage: (message: any) => void) => Channel) | undefined} openChannel
 * @property {import("./clock.js").Clock} clock
 */

/**
 * @typedef {object} LeadershipHandlers
 * @property {() => void} onLead
 * @property {() => void} onLose another tab has taken the lock; not called after `leave()`
 * @property {() => object} beat what the leader tells each second
 * @property {(message: any) => void} onMessage of the leader, beats included
 * @property {() => void} onAsked somebody asked for a sign of life, or has woken up
 */

const JITTER_MS = 300;
const ANSWER_MS = 900;

/** @returns {Browser} this tab's */
export function browserOf() {
  const channels = typeof BroadcastChannel === "function";
  return { locks: globalThis.navigator?.locks, openChannel: channels ? openChannel : undefined, clock: CLOCK };
}

/**
 * @param {string} name
 * @param {(message: any) => void} onMessage
 * @returns {Channel}
 */
function openChannel(name, onMessage) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => onMessage(data);
  return { post: (message) => channel.postMessage(message), close: () => channel.close() };
}

export class Leadership {
  #name;
  #handlers;
  #browser;
  #timings;
  /** @type {Channel | null} */
  #channel = null;
  /** The request for the lock that counts; what becomes of earlier ones is ignored. @type {AbortController | null} */
  #claim = null;
  #leads = false;
  /** @type {() => void} */
  #release = () => {};
  #timer = 0;
  #heardAt = 0;
  #askedAt = 0;
  #patienceMs;

  /**
   * @param {string} name of the lock and the channel; the tabs that share it share a connection
   * @param {LeadershipHandlers} handlers
   * @param {Browser} [browser]
   * @param {import("./clock.js").Timings} [timings]
   */
  constructor(name, handlers, browser = browserOf(), timings = TIMINGS) {
    this.#name = name;
    this.#handlers = handlers;
    this.#browser = browser;
    this.#timings = timings;
    // Not all followers at once.
    this.#patienceMs = Math.round(timings.steal * 1000 + Math.random() * JITTER_MS);
  }

  get leads() {
    return this.#leads;
  }

  join() {
    const { locks, openChannel } = this.#browser;
    if (!locks || !openChannel) return this.#lead();
    this.#channel = openChannel(this.#name, (message) => this.#hear(message));
    this.#request();
    this.#heardAt = this.#browser.clock.now();
    this.ask();
    this.#watch();
  }

  /** Lets the lock and the channel go; the next tab takes over at once. */
  leave() {
    this.#claim?.abort();
    this.#claim = null;
    this.#leads = false;
    this.#release();
    this.#browser.clock.clearTimeout(this.#timer);
    this.#channel?.close();
    this.#channel = null;
  }

  /** Tells the others. @param {object} message */
  post(message) {
    this.#channel?.post(message);
  }

  /** Asks the leader how it is, as a follower that has just come or woken up. */
  ask() {
    if (this.#leads) return;
    this.#askedAt = this.#browser.clock.now();
    this.post({ kind: "ask" });
  }

  /** @param {boolean} [steal] */
  async #request(steal = false) {
    this.#claim?.abort();
    const claim = (this.#claim = new AbortController());
    const options = steal ? { steal } : { signal: claim.signal };
    try {
      await this.#browser.locks?.request(this.#name, options, () => this.#hold(claim));
    } catch (error) {
      if (claim !== this.#claim) return;
      // A lock that is taken away ends so too. Any other failure: locks are forbidden here.
      if (/** @type {DOMException} */ (error).name === "AbortError") this.#lose();
      else this.#lead();
    }
  }

  /** @param {AbortController} claim @returns {Promise<void> | undefined} pending for as long as the lock is wanted */
  #hold(claim) {
    if (claim !== this.#claim) return undefined;
    const held = new Promise((resolve) => (this.#release = () => resolve(undefined)));
    this.#lead();
    return held;
  }

  #lead() {
    this.#leads = true;
    this.#handlers.onLead();
    this.#beat();
  }

  #lose() {
    this.#leads = false;
    this.#release();
    this.#heardAt = this.#browser.clock.now();
    this.#askedAt = 0;
    this.#request();
    this.#watch();
    this.#handlers.onLose();
  }

  /** Tells the others how things are, as each second. */
  tell() {
    this.post({ ...this.#handlers.beat(), kind: "beat" });
  }

  #beat() {
    if (!this.#channel) return;
    this.tell();
    this.#plan(this.#timings.beat * 1000, () => this.#beat());
  }

  /** @param {any} message */
  #hear(message) {
    if (message.kind === "ask") {
      if (!this.#leads) return;
      this.tell();
      this.#handlers.onAsked();
    } else if (!this.#leads) {
      this.#heardAt = this.#browser.clock.now();
      this.#askedAt = 0;
      this.#handlers.onMessage(message);
    }
  }

  /** Looks whether the leader gives signs of life. */
  #watch() {
    const now = this.#browser.clock.now();
    if (!this.#askedAt && now - this.#heardAt >= this.#timings.ask * 1000) this.ask();
    const due = this.#askedAt
      ? Math.max(this.#heardAt + this.#patienceMs, this.#askedAt + ANSWER_MS)
      : this.#heardAt + this.#timings.ask * 1000;
    if (this.#askedAt && now >= due) return this.#steal();
    this.#plan(due - now, () => this.#watch());
  }

  #steal() {
    this.#heardAt = this.#browser.clock.now();
    this.#askedAt = 0;
    this.#request(true);
    this.#plan(this.#patienceMs, () => this.#watch());
  }

  /** @param {number} ms @param {() => void} what */
  #plan(ms, what) {
    this.#browser.clock.clearTimeout(this.#timer);
    this.#timer = this.#browser.clock.setTimeout(what, ms);
  }
}
