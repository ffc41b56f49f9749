/**
 * The connection to the server: a stream, or the long poll where no stream comes through, and never neither for long.
 *
 * Flows:
 *
 * - *connecting*: the server is asked whether it is there and one is still the same user; then a stream is opened from
 *   the cursor. Its `ready` makes it the carrier.
 * - *refused, held back, silent*: the server is there, yet no stream comes through: the long poll carries on from the
 *   cursor. So it does when two streams in a row were cut before they had lasted.
 * - *probing*: beside the poll, a stream is tried from time to time. Its `ready` makes it the carrier and ends the poll.
 * - *cut*: a stream that had lasted is opened again, after a moment of jitter.
 * - *unreachable*: nothing carries; the server is asked again, later and later, and at once when the browser wakes up.
 * - *going away* (`goodbye`): it is opened again when the server said, and nobody is alarmed.
 * - *renewing* (`reauth`): a stream with a fresh credential takes over before the other ends.
 *
 * Whenever two carry at once they tell the same events from the same cursor; whoever listens takes each id once.
 */

import { CLOCK, TIMINGS } from "./clock.js";
import { SignedOut, Unreachable } from "./endpoint.js";
import { EventSourceStream } from "./eventsource.js";
import { LongPoll } from "./longpoll.js";
import { Retry } from "./retry.js";
import { FallbackPolicy } from "./fallback-policy.js";

/**
 * @typedef {object} Status
 * @property {"connecting" | "live" | "polling" | "offline"} state
 * @property {string} [reason] why it is no better
 * @property {string} [connectionId] with `live`
 */

/**
 * @typedef {object} LinkHandlers
 * @property {() => string | null} cursor the place to read from
 * @property {(cursor: string) => void} onCursor where the reading begins, if no cursor was asked for
 * @property {(event: import("./reducer.js").StoredEvent) => void} onEvent some come twice
 * @property {(reset: import("./endpoint.js").Reset) => void} onReset
 * @property {(status: Status) => void} onStatus
 * @property {(error: SignedOut) => void} onSignedOut it is closed then
 */

/** @typedef {{close(): void, check(): void}} Stream */

/**
 * What it is made of; tests put others in their place.
 *
 * @typedef {object} Parts
 * @property {(address: string, handlers: import("./eventsource.js").StreamHandlers) => Stream} stream
 * @property {import("./clock.js").Clock} clock
 * @property {import("./clock.js").Timings} timings
 * @property {() => number} random
 */

const RENEW_EVERY_MS = 10_000;
const SHORTEST_WAIT = 1;

export class Connection {
  #endpoint;
  #handlers;
  #parts;
  #retry;
  /** Each attempt has its number; what an earlier one still has under way is then ignored. */
  #turn = 0;
  /** @type {Stream | null} a stream that has not said `ready` */
  #candidate = null;
  /** @type {Stream | null} a stream that has */
  #stream = null;
  /** @type {LongPoll | null} */
  #poll = null;
  #renewedAt = 0;
  #fallbackPolicy;
  #probeTimer = 0;
  #wait;

  /**
   * @param {Pick<import("./endpoint.js").Endpoint, "enter" | "poll" | "streamAddress" | "renewable">} endpoint
   * @param {LinkHandlers} handlers
   * @param {Partial<Parts>} [parts]
   */
  constructor(endpoint, handlers, parts = {}) {
    const timings = parts.timings ?? TIMINGS;
    this.#endpoint = endpoint;
    this.#handlers = handlers;
    this.#parts = {
      stream: parts.stream ?? ((address, on) => new EventSourceStream(address, on, timings)),
      clock: parts.clock ?? CLOCK,
      random: parts.random ?? Math.random,
      timings,
    };
    this.#wait = timings.wait;
    this.#retry = new Retry(() => this.#attempt(), this.#parts);
    this.#fallbackPolicy = new FallbackPolicy(this.#parts);
  }

  /** Seconds to the next try, where one is awaited. */
  get retryInSeconds() {
    return this.#retry.secondsLeft;
  }

  open() {
    this.#attempt();
  }

  close() {
    this.#drop();
  }

  /**
   * The browser woke up, or its network came or went: what waits need not, and what seems to live may be dead.
   *
   * @param {"shown" | "online" | "offline"} why
   */
  wake(why) {
    if (this.#retry.waiting) {
      if (why !== "offline") this.#retry.now();
    } else if (why === "offline") {
      this.#confirm();
    } else if (this.#poll) {
      this.#probe();
    } else if (why === "online" && this.#stream) {
      // Another network, perhaps: what came by the former will not come by this one, and nobody would say so.
      this.#attempt();
    } else {
      this.#stream?.check();
    }
  }

  #drop() {
    this.#turn += 1;
    this.#retry.cancel();
    this.#parts.clock.clearTimeout(this.#probeTimer);
    for (const carrier of [this.#candidate, this.#stream, this.#poll]) carrier?.close();
    this.#candidate = this.#stream = this.#poll = null;
  }

  async #attempt() {
    this.#drop();
    this.#handlers.onStatus({ state: "connecting" });
    const turn = this.#turn;
    try {
      const ticket = await this.#endpoint.enter();
      if (turn !== this.#turn) return;
      if (!this.#fallbackPolicy.reason) this.#candidate = this.#open(ticket);
      else {
        this.#startPoll();
        this.#planProbe();
      }
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** @param {string | null} ticket */
  #open(ticket) {
    const stream = this.#parts.stream(this.#endpoint.streamAddress(this.#handlers.cursor(), ticket), {
      onEvent: (event) => this.#handlers.onEvent(event),
      onControl: (type, data) => this.#obey(stream, type, data),
      onEnd: (reason) => this.#ended(stream, reason),
    });
    return stream;
  }

  /**
   * @param {Stream} stream
   * @param {string} type
   * @param {Record<string, any>} data
   */
  #obey(stream, type, data) {
    if (type === "ready" && stream === this.#candidate) this.#takeOver(stream, data);
    if (type === "reset") this.#handlers.onReset({ cursor: data.cursor, jobs: data.jobs });
    if (type === "reauth" && stream === this.#stream) this.#renew();
    if (type === "goodbye") this.#leave(stream, data.retryMs / 1000);
  }

  /**
   * @param {Stream} stream
   * @param {Record<string, any>} data of its `ready`
   */
  #takeOver(stream, { cursor, connectionId }) {
    this.#stream?.close();
    this.#poll?.close();
    this.#poll = this.#candidate = null;
    this.#parts.clock.clearTimeout(this.#probeTimer);
    this.#stream = stream;
    this.#fallbackPolicy.ready();
    this.#retry.reset();
    // Only where none was asked for: what is replayed from a cursor may be older than the log's end.
    if (this.#handlers.cursor() === null) this.#handlers.onCursor(cursor);
    this.#handlers.onStatus({ state: "live", connectionId });
  }

  /**
   * @param {Stream} stream
   * @param {import("./eventsource.js").StreamEnd} reason
   */
  #ended(stream, reason) {
    if (stream === this.#candidate) return this.#missed(reason);
    if (stream !== this.#stream) return;
    if (reason === "stale") return this.#attempt();
    if (reason === "silent") return this.#fallBack("silent");
    if (this.#fallbackPolicy.cut()) this.#fallBack("cut");
    else this.#again("cut");
  }

  /** A stream never said `ready`. @param {import("./eventsource.js").StreamEnd} reason */
  #missed(reason) {
    this.#candidate = null;
    if (this.#poll) this.#planProbe();
    else if (!this.#stream && reason === "stale") this.#attempt();
    else if (!this.#stream) this.#fallBack(reason === "error" ? "refused" : "held-back");
  }

  /** @param {string} reason */
  #fallBack(reason) {
    this.#fallbackPolicy.lose(reason);
    this.#wait = this.#parts.timings.wait;
    this.#again(reason);
  }

  /** @param {string} reason @param {number} [exactly] seconds */
  #again(reason, exactly) {
    this.#drop();
    this.#retry.later({ exactly });
    this.#handlers.onStatus({ state: "connecting", reason });
  }

  /** @param {Stream} stream @param {number} seconds that the server chose for us */
  #leave(stream, seconds) {
    stream.close();
    if (stream === this.#stream) {
      this.#again("going-away", Number.isFinite(seconds) ? seconds : undefined);
    } else if (stream === this.#candidate) {
      this.#missed("error");
    }
  }

  #startPoll() {
    this.#poll = new LongPoll(
      this.#endpoint,
      {
        cursor: () => this.#handlers.cursor(),
        onAnswer: (answer) => this.#answered(answer),
        onEnd: (error, elapsed) => this.#unanswered(error, elapsed),
      },
      { wait: this.#wait, clock: this.#parts.clock },
    );
  }

  /** @param {import("./endpoint.js").Answer} answer */
  #answered({ events, cursor, reset }) {
    this.#retry.reset();
    this.#fallbackPolicy.prove();
    if (reset) this.#handlers.onReset(reset);
    for (const event of events) this.#handlers.onEvent(event);
    if (this.#handlers.cursor() === null) this.#handlers.onCursor(cursor);
    this.#handlers.onStatus({ state: "polling", reason: this.#fallbackPolicy.reason ?? undefined });
  }

  /**
   * A poll that was cut while it waited met somebody on the way who is less patient than the server: it waits shorter.
   *
   * @param {unknown} error
   * @param {number} elapsed seconds
   */
  #unanswered(error, elapsed) {
    this.#poll = null;
    const cut = error instanceof Unreachable && (error.status === 0 || error.status >= 502);
    const shorter = Math.max(SHORTEST_WAIT, Math.floor(elapsed * 0.7));
    if (!cut || elapsed < SHORTEST_WAIT || shorter >= this.#wait) return this.#fail(error);
    this.#wait = shorter;
    this.#resumePoll();
  }

  /** Polls on, if the server is there: it may be that which cut the poll. */
  async #resumePoll() {
    const turn = this.#turn;
    try {
      await this.#endpoint.enter();
      if (turn === this.#turn && !this.#stream) this.#startPoll();
    } catch (error) {
      if (turn === this.#turn && !this.#stream) this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    this.#drop();
    if (error instanceof SignedOut) return this.#handlers.onSignedOut(error);
    this.#fallbackPolicy.excuse();
    const { reason, retryAfter } = error instanceof Unreachable ? error : new Unreachable("error");
    this.#retry.later({ atLeast: retryAfter });
    this.#handlers.onStatus({ state: "offline", reason });
    if (!(error instanceof Unreachable)) reportError(error);
  }

  #planProbe() {
    this.#parts.clock.clearTimeout(this.#probeTimer);
    this.#probeTimer = this.#parts.clock.setTimeout(() => this.#probe(), this.#fallbackPolicy.nextProbe() * 1000);
  }

  /** Tries a stream beside what carries now. */
  async #probe() {
    if (this.#candidate) return;
    const turn = this.#turn;
    try {
      const ticket = await this.#endpoint.enter();
      if (turn === this.#turn && !this.#candidate) this.#candidate = this.#open(ticket);
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error instanceof SignedOut) this.#fail(error);
      else if (this.#poll) this.#planProbe();
    }
  }

  #renew() {
    const now = this.#parts.clock.now();
    // A credential that is no better than the last would be renewed for ever.
    if (!this.#endpoint.renewable || now - this.#renewedAt < RENEW_EVERY_MS) return;
    this.#renewedAt = now;
    this.#probe();
  }

  /** Asks whether the server is there; where not, that is told at once instead of after two heartbeats. */
  async #confirm() {
    const turn = this.#turn;
    try {
      await this.#endpoint.enter();
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }
}
