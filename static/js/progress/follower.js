/**
 * What a tab that does not hold the connection makes of what the leader tells: every event once, and none missed.
 *
 * The leader tells with each event the cursor before it. A follower whose own cursor lies before that has missed
 * something, or began earlier; it asks the server for the rest, once, and keeps what it is told meanwhile.
 */

import { CLOCK } from "./clock.js";
import { isNewer, parseCursor } from "./cursor.js";

/** @typedef {import("./reducer.js").StoredEvent} StoredEvent */
/** @typedef {import("./endpoint.js").Reset} Reset */

/**
 * @typedef {{kind: "beat", cursor: string | null, connection?: object}
 *   | {kind: "event", event: StoredEvent, before: string | null}
 *   | {kind: "reset", reset: Reset}} Message
 */

/**
 * @typedef {object} FollowerHandlers
 * @property {() => string | null} cursor
 * @property {(cursor: string) => void} onCursor where the reading begins, if there was no cursor
 * @property {(event: StoredEvent) => void} onEvent
 * @property {(reset: Reset) => void} onReset
 * @property {(error: unknown) => void} onError asking the server failed; it is asked again with the next message
 */

const PAUSE_MS = 1000;

export class Follower {
  #ask;
  #handlers;
  #clock;
  #closed = false;
  #asking = false;
  /** @type {Message[]} */
  #kept = [];
  /** A cursor past the leader's that the server has confirmed. @type {string | null} */
  #confirmed = null;
  #notBefore = 0;

  /**
   * @param {(after: string | null) => Promise<import("./endpoint.js").Answer>} ask what came after, at once
   * @param {FollowerHandlers} handlers
   * @param {import("./clock.js").Clock} [clock]
   */
  constructor(ask, handlers, clock = CLOCK) {
    this.#ask = ask;
    this.#handlers = handlers;
    this.#clock = clock;
  }

  close() {
    this.#closed = true;
  }

  /** @param {Message} message */
  hear(message) {
    if (this.#closed) return;
    if (this.#asking) this.#kept.push(message);
    else if (message.kind === "reset") this.#handlers.onReset(message.reset);
    else if (message.kind === "beat") this.#compare(message.cursor);
    else if (message.kind === "event") this.#take(message);
  }

  /** @param {{event: StoredEvent, before: string | null}} message */
  #take({ event, before }) {
    const cursor = this.#place(before);
    if (this.#follows(cursor, before, event.id)) this.#handlers.onEvent(event);
    else this.#catchUp();
  }

  /** @param {string | null} told the leader's @returns {string | null} */
  #place(told) {
    if (this.#handlers.cursor() === null && told !== null) this.#handlers.onCursor(told);
    return this.#handlers.cursor();
  }

  /**
   * Whether nothing lies between the cursor and the event. A cursor past `before` has what lies between already, if it
   * is of the same log.
   *
   * @param {string | null} cursor
   * @param {string | null} before
   * @param {string} id
   */
  #follows(cursor, before, id) {
    if (cursor === before) return true;
    return isNewer(cursor, before) && parseCursor(cursor)?.[0] === parseCursor(id)?.[0];
  }

  /**
   * Before the leader: something was missed. Past it: the leader has yet to come there, or this is a place in a log
   * that is no more; the server knows, and is asked once.
   *
   * @param {string | null} told the leader's cursor
   */
  #compare(told) {
    const cursor = this.#place(told);
    if (told === null || cursor === told) return;
    if (isNewer(told, cursor) || cursor !== this.#confirmed) this.#catchUp();
  }

  async #catchUp() {
    if (this.#clock.now() < this.#notBefore) return;
    this.#asking = true;
    try {
      const { events, cursor, reset } = await this.#ask(this.#handlers.cursor());
      if (this.#closed) return;
      if (reset) this.#handlers.onReset(reset);
      for (const event of events) this.#handlers.onEvent(event);
      if (this.#handlers.cursor() === null) this.#handlers.onCursor(cursor);
      this.#confirmed = this.#handlers.cursor();
      this.#goOn();
    } catch (error) {
      if (this.#closed) return;
      this.#notBefore = this.#clock.now() + PAUSE_MS;
      this.#asking = false;
      this.#kept = [];
      this.#handlers.onError(error);
    }
  }

  /** Takes what was kept; what does not follow makes it ask again. */
  #goOn() {
    const kept = this.#kept;
    this.#kept = [];
    this.#asking = false;
    for (const message of kept) this.hear(message);
  }
}
