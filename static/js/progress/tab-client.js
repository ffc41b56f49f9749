/**
 * A tab's part in following a user's events: it joins the tabs of the same user, and leads or follows.
 *
 * The cursor is kept here, and each event is let through once, whichever way it came: a stream, the long poll, another
 * tab, or two of them at once.
 */

import { TIMINGS } from "./clock.js";
import { isNewer } from "./cursor.js";
import { SignedOut, Unreachable } from "./endpoint.js";
import { Follower } from "./follower.js";
import { browserOf, Leadership } from "./leadership.js";
import { Connection } from "./connection.js";
import { Retry } from "./retry.js";
import { PageLifecycle } from "./page-lifecycle.js";

/**
 * How the connection is, for people.
 *
 * @typedef {object} ConnectionStatus
 * @property {"closed" | "connecting" | "live" | "polling" | "offline" | "signed-out"} state
 *   `live`: by a stream; `polling`: by the long poll, nearly as soon; `offline`: the server is not reached, and is
 *   tried again; `signed-out`: there is nothing to try
 * @property {boolean} leads whether this tab holds the connection for all tabs of the user in this browser
 * @property {number} [retryInSeconds] with `connecting` and `offline`: from now to the next try
 * @property {string} [reason] why it is no better: `refused`, `held-back`, `silent`, `cut`, `going-away`, `network`,
 *   `other-user` or the code of a problem
 * @property {string} [connectionId] with `live`
 */

/**
 * @typedef {object} TabClientHandlers
 * @property {(event: import("./reducer.js").StoredEvent) => void} onEvent
 * @property {(reset: import("./endpoint.js").Reset) => void} onReset
 * @property {(connection: ConnectionStatus) => void} onConnection
 */

export class TabClient {
  #endpoint;
  #handlers;
  #timings;
  #browser = browserOf();
  /** @type {string | null} */
  #cursor;
  /** @type {Omit<ConnectionStatus, "leads">} */
  #status = { state: "closed" };
  /** @type {Leadership | null} */
  #leadership = null;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Follower | null} */
  #follower = null;
  #lifecycle;
  #joining;
  /** Each joining has its number; what an earlier one still has under way is then ignored. */
  #turn = 0;
  #asleep = false;

  /**
   * @param {import("./endpoint.js").Endpoint} endpoint
   * @param {string | null} after the cursor to begin at; null: at what is latest then
   * @param {TabClientHandlers} handlers
   * @param {import("./clock.js").Timings} [timings]
   */
  constructor(endpoint, after, handlers, timings = TIMINGS) {
    this.#endpoint = endpoint;
    this.#cursor = after;
    this.#handlers = handlers;
    this.#timings = timings;
    this.#joining = new Retry(() => this.#join());
    this.#lifecycle = new PageLifecycle({
      onWake: (why) => this.#wake(why),
      onSleep: () => this.#sleep(),
      onResume: () => this.#resume(),
    });
  }

  get cursor() {
    return this.#cursor;
  }

  start() {
    this.#lifecycle.listen();
    this.#join();
  }

  stop() {
    this.#lifecycle.close();
    this.#part();
    this.#become({ state: "closed" });
  }

  async #join() {
    this.#become({ state: "connecting" });
    const turn = this.#turn;
    try {
      const user = await this.#endpoint.identify();
      if (turn === this.#turn) this.#meet(user);
    } catch (error) {
      if (turn === this.#turn) this.#notJoined(error);
    }
  }

  /** @param {string} user whose tabs share one connection; another user's never do */
  #meet(user) {
    this.#joining.reset();
    this.#leadership = new Leadership(
      `smartvoice:${this.#endpoint.url}:${user}`,
      {
        onLead: () => this.#lead(),
        onLose: () => this.#follow(),
        beat: () => ({ cursor: this.#cursor, connection: this.#connectionStatus }),
        onMessage: (message) => this.#told(message),
        onAsked: () => this.#connection?.wake("shown"),
      },
      this.#browser,
      this.#timings,
    );
    this.#follow();
    this.#leadership.join();
  }

  /** @param {unknown} error */
  #notJoined(error) {
    if (error instanceof SignedOut) return this.#signOut(error);
    const { reason, retryAfter } = error instanceof Unreachable ? error : new Unreachable("error");
    this.#joining.later({ atLeast: retryAfter });
    this.#become({ state: "offline", reason });
  }

  /** Leaves the others, who go on without this tab. */
  #part() {
    this.#turn += 1;
    this.#joining.cancel();
    this.#connection?.close();
    this.#follower?.close();
    this.#leadership?.leave();
    this.#connection = this.#follower = this.#leadership = null;
  }

  /** @param {SignedOut} error */
  #signOut({ reason }) {
    this.#lifecycle.close();
    this.#part();
    this.#become({ state: "signed-out", reason: reason === "other-user" ? reason : undefined });
  }

  #lead() {
    this.#follower?.close();
    this.#follower = null;
    this.#connection = new Connection(
      this.#endpoint,
      {
        cursor: () => this.#cursor,
        onCursor: (cursor) => (this.#cursor = cursor),
        onEvent: (event) => this.#take(event),
        onReset: (reset) => this.#begin(reset),
        onStatus: (status) => {
          this.#become(status);
          this.#leadership?.tell();
        },
        onSignedOut: (error) => this.#signOut(error),
      },
      { timings: this.#timings },
    );
    this.#connection.open();
  }

  #follow() {
    this.#connection?.close();
    this.#connection = null;
    this.#follower = new Follower((after) => this.#endpoint.poll(after, 0), {
      cursor: () => this.#cursor,
      onCursor: (cursor) => (this.#cursor = cursor),
      onEvent: (event) => this.#take(event),
      onReset: (reset) => this.#begin(reset),
      onError: (error) => error instanceof SignedOut && this.#signOut(error),
    });
  }

  /** @param {any} message of the leader */
  #told(message) {
    this.#follower?.hear(message);
    if (message.kind === "beat" && this.#follower) this.#become(message.connection);
  }

  /** @param {import("./reducer.js").StoredEvent} event */
  #take(event) {
    const before = this.#cursor;
    if (!isNewer(event.id, before)) return;
    this.#cursor = event.id;
    if (this.#connection) this.#leadership?.post({ kind: "event", event, before });
    this.#handlers.onEvent(event);
  }

  /** @param {import("./endpoint.js").Reset} reset */
  #begin(reset) {
    this.#cursor = reset.cursor;
    if (this.#connection) this.#leadership?.post({ kind: "reset", reset });
    this.#handlers.onReset(reset);
  }

  /** @param {"shown" | "online" | "offline"} why */
  #wake(why) {
    if (this.#asleep) return;
    if (this.#connection) this.#connection.wake(why);
    else if (this.#leadership) this.#leadership.ask();
    else if (this.#joining.waiting && why !== "offline") this.#joining.now();
  }

  #sleep() {
    if (this.#asleep) return;
    this.#asleep = true;
    this.#part();
  }

  #resume() {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#join();
  }

  /** @returns {ConnectionStatus} */
  get #connectionStatus() {
    const retryInSeconds = this.#connection?.retryInSeconds ?? this.#joining.secondsLeft ?? this.#status.retryInSeconds;
    return { ...this.#status, retryInSeconds, leads: this.#leadership?.leads ?? false };
  }

  /** @param {Omit<ConnectionStatus, "leads">} status */
  #become({ state, reason, connectionId, retryInSeconds }) {
    this.#status = { state, reason, connectionId, retryInSeconds };
    this.#handlers.onConnection(this.#connectionStatus);
  }
}
