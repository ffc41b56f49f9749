/** Where the events are, and by what right one reads them: a session cookie, or a bearer token. */

import { CLOCK, TIMINGS } from "./clock.js";

/** @typedef {string | (() => string | Promise<string>)} Token a bearer token, or what gets a fresh one */
/** @typedef {import("./reducer.js").StoredEvent} StoredEvent */
/** @typedef {{cursor: string, jobs: import("./reducer.js").Job[]}} Reset */
/** @typedef {{events: StoredEvent[], cursor: string, reset: Reset | null}} Answer of the long poll */

const KNOWN_FOR_MS = 2000;
const JSON_ONLY = { Accept: "application/json" };

/** Whoever asks is nobody any more, or, with `reason` `other-user`, somebody else than before. */
export class SignedOut extends Error {
  /** @param {"signed-out" | "other-user"} reason */
  constructor(reason = "signed-out") {
    super(reason);
    this.reason = reason;
  }
}

/** No answer, or one that is of no use now. */
export class Unreachable extends Error {
  /**
   * @param {string} reason the problem's `code`, or `network`
   * @param {{status?: number, retryAfter?: number}} [more] `status` 0: no answer at all; `retryAfter` in seconds
   */
  constructor(reason, { status = 0, retryAfter = 0 } = {}) {
    super(reason);
    this.reason = reason;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** All requests but the stream itself. Each method throws SignedOut and Unreachable. */
export class Endpoint {
  #url;
  #token;
  #requestSeconds;
  #user = "";
  #identifiedAt = 0;

  /**
   * @param {string} url absolute: of `/api/events`
   * @param {Token | null} token
   * @param {import("./clock.js").Timings} [timings]
   */
  constructor(url, token, timings = TIMINGS) {
    this.#url = new URL(url);
    this.#token = token;
    this.#requestSeconds = timings.request;
  }

  get url() {
    return this.#url.href;
  }

  /** Whether a fresh credential can be had without the user. */
  get renewable() {
    return typeof this.#token === "function";
  }

  /** Asks who one is. @returns {Promise<string>} the user's id */
  async identify() {
    const user = await this.#whoAmI();
    this.#identifiedAt = CLOCK.now();
    return user;
  }

  async #whoAmI() {
    const { user } = await this.#ask(new URL("session", this.#url), { headers: JSON_ONLY });
    if (typeof user !== "string") throw new Unreachable("not_ours");
    if (this.#user && this.#user !== user) throw new SignedOut("other-user");
    this.#user = user;
    return user;
  }

  /**
   * Makes sure that the server is there, and that one is still the same user to it: the cookie is all tabs', and one of
   * them may have signed out and in again.
   *
   * @returns {Promise<string | null>} a ticket for one stream, where the credential is a token
   */
  async enter() {
    if (this.#token === null) {
      // Whoever has just asked need not ask again.
      if (CLOCK.now() - this.#identifiedAt > KNOWN_FOR_MS) await this.#whoAmI();
      this.#identifiedAt = 0;
      return null;
    }
    const address = new URL(`${this.#url.pathname}/tickets`, this.#url);
    const { ticket } = await this.#ask(address, { method: "POST", headers: JSON_ONLY });
    if (typeof ticket !== "string") throw new Unreachable("not_ours");
    return ticket;
  }

  /**
   * @param {string | null} after
   * @param {string | null} ticket
   * @returns {string} the address of the stream from there on
   */
  streamAddress(after, ticket) {
    const address = new URL(this.#url);
    if (after) address.searchParams.set("after", after);
    if (ticket) address.searchParams.set("ticket", ticket);
    return address.href;
  }

  /**
   * What came after a cursor, as soon as there is anything, or none after `wait` seconds.
   *
   * @param {string | null} after
   * @param {number} wait
   * @param {AbortSignal} [signal]
   * @returns {Promise<Answer>}
   */
  async poll(after, wait, signal) {
    const address = new URL(this.#url);
    if (after) address.searchParams.set("after", after);
    address.searchParams.set("wait", String(wait));
    const answer = await this.#ask(address, { headers: JSON_ONLY }, wait, signal);
    if (!Array.isArray(answer.events)) throw new Unreachable("not_ours");
    return /** @type {Answer} */ (answer);
  }

  /**
   * @param {URL} address
   * @param {RequestInit} options
   * @param {number} [wait] seconds that the server may take on purpose
   * @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, unknown>>}
   */
  async #ask(address, options, wait = 0, signal) {
    const limit = new AbortController();
    const giveUp = () => limit.abort();
    signal?.addEventListener("abort", giveUp, { once: true });
    const timer = setTimeout(giveUp, (wait + this.#requestSeconds) * 1000);
    try {
      const headers = { ...options.headers, ...(await this.#authorization()) };
      const response = await fetch(address, { ...options, headers, signal: limit.signal, cache: "no-store" });
      return await documentOf(response);
    } catch (error) {
      if (error instanceof SignedOut || error instanceof Unreachable) throw error;
      throw new Unreachable("network");
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** @returns {Promise<Record<string, string>>} */
  async #authorization() {
    if (this.#token === null) return {};
    try {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      return { Authorization: `Bearer ${token}` };
    } catch (error) {
      reportError(error);
      throw new Unreachable("no_token");
    }
  }
}

/**
 * @param {Response} response
 * @returns {Promise<Record<string, unknown>>}
 */
async function documentOf(response) {
  const document = await response.json().catch(() => null);
  if (response.status === 401) throw new SignedOut();
  if (response.ok && document) return document;
  const { status } = response;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw new Unreachable(response.ok ? "not_ours" : (document?.code ?? `http_${status}`), { status, retryAfter });
}
