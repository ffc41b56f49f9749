/** The live progress of a user's jobs: `createProgressClient({url}).connect()`, then listen with the `on…` methods. */

import { Backoff } from "./backoff.js";
import { isNewer } from "./cursor.js";
import { Emitter } from "./emitter.js";
import { EventSourceStream, streamAddress } from "./eventsource.js";

/**
 * @typedef {object} Connection
 * @property {"closed" | "connecting" | "live" | "retrying" | "signed-out"} state
 * @property {number} [seconds] with `retrying`: from now to the next try
 * @property {string} [connectionId] with `live`
 */

/** @typedef {import("./reducer.js").StoredEvent} StoredEvent */
/** @typedef {() => void} Unsubscribe */

const LASTING_MS = 10_000;

/**
 * @param {{url?: string}} [options] `url`: where the events are, `/api/events` by default
 * @returns {ProgressClient}
 */
export function createProgressClient({ url = "/api/events" } = {}) {
  return new ProgressClient(url);
}

/**
 * Keeps one stream open for as long as it is wanted. The cursor is kept over every loss, so that each event is heard
 * once and none is missed; where the server no longer has what was missed, `onReset` brings a snapshot instead.
 */
class ProgressClient {
  #url;
  #emitter = new Emitter();
  #backoff = new Backoff();
  /** @type {Set<string>} */
  #projects = new Set();
  /** @type {string | null} */
  #cursor = null;
  /** @type {string | (() => string | Promise<string>) | null} */
  #token = null;
  /** @type {Connection} */
  #connection = { state: "closed" };
  /** @type {EventSourceStream | null} */
  #stream = null;
  #timer = 0;
  #liveSince = 0;
  // Each opening has its number; what an earlier one still has under way is then ignored.
  #opening = 0;

  constructor(url) {
    this.#url = url;
  }

  /** @returns {Connection} */
  get connection() {
    return this.#connection;
  }

  /** @returns {string | null} the id of the last event heard */
  get cursor() {
    return this.#cursor;
  }

  /**
   * Opens the stream, and again after every loss until `disconnect()`.
   *
   * @param {object} [options]
   * @param {string | (() => string | Promise<string>)} [options.token] a bearer token, or what gets a fresh one, where
   *   no session cookie is at hand; it is exchanged for a single-use ticket and never stands in an address
   * @param {string | null} [options.after] the cursor of the snapshot one has; without it, events from now on
   * @returns {this}
   */
  connect({ token = null, after = null } = {}) {
    this.#token = token;
    this.#cursor = after ?? this.#cursor;
    this.#backoff.reset();
    addEventListener("online", this.#retryNow);
    this.#reopen();
    return this;
  }

  /** Closes the stream; the cursor and the listeners stay, for a later `connect()`. */
  disconnect() {
    removeEventListener("online", this.#retryNow);
    this.#drop();
    this.#become({ state: "closed" });
  }

  /**
   * Narrows the stream to this project, and those subscribed to before. Without any, it carries all of the user's.
   *
   * @param {string} id
   * @returns {Unsubscribe}
   */
  subscribeToProject(id) {
    this.#changeProjects(() => this.#projects.add(id));
    return () => this.#changeProjects(() => this.#projects.delete(id));
  }

  /** @param {(data: object) => void} listener @returns {Unsubscribe} */
  onParseProgress(listener) {
    return this.#emitter.on("parse:progress", listener);
  }

  /** @param {(data: object) => void} listener @returns {Unsubscribe} */
  onAudioProgress(listener) {
    return this.#emitter.on("audio:progress", listener);
  }

  /** @param {(data: object) => void} listener @returns {Unsubscribe} */
  onAudioComplete(listener) {
    return this.#emitter.on("audio:complete", listener);
  }

  /** @param {(data: object) => void} listener @returns {Unsubscribe} */
  onAudioFailed(listener) {
    return this.#emitter.on("audio:failed", listener);
  }

  /** @param {(connection: Connection) => void} listener @returns {Unsubscribe} */
  onConnectionChange(listener) {
    return this.#emitter.on("connection", listener);
  }

  /** Every event of every type. @param {(event: StoredEvent) => void} listener @returns {Unsubscribe} */
  onEvent(listener) {
    return this.#emitter.on("event", listener);
  }

  /**
   * What was missed is gone: forget the jobs one knows and take these.
   *
   * @param {(reset: {cursor: string, jobs: import("./reducer.js").Job[]}) => void} listener
   * @returns {Unsubscribe}
   */
  onReset(listener) {
    return this.#emitter.on("reset", listener);
  }

  #changeProjects(change) {
    const before = this.#projects.size;
    change();
    const open = this.#connection.state === "connecting" || this.#connection.state === "live";
    if (open && this.#projects.size !== before) this.#reopen();
  }

  #retryNow = () => {
    if (this.#connection.state === "retrying") this.#reopen();
  };

  #drop() {
    this.#opening += 1;
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  #reopen() {
    this.#drop();
    this.#become({ state: "connecting" });
    const opening = this.#opening;
    // After the caller's turn: `connect()` and the subscriptions right after it then make one stream, not several.
    queueMicrotask(() => opening === this.#opening && this.#open(opening));
  }

  async #open(opening) {
    console.log(`[SSE] Connecting to ${this.#url}`);
    const ticket = this.#token ? await this.#ticket().catch(() => null) : null;
    if (opening !== this.#opening) return;
    if (this.#token && !ticket) return this.#lost();
    const address = streamAddress(this.#url, { after: this.#cursor, projects: this.#projects, ticket });
    this.#stream = new EventSourceStream(address, {
      onEvent: (event) => this.#hear(event),
      onControl: (type, data) => this.#obey(type, data),
      onEnd: () => this.#lost(),
    });
  }

  /** A single-use ticket for the token, or null where none is to be had; a refused token signs out. */
  async #ticket() {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    const response = await fetch(`${this.#url}/tickets`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
    });
    if (response.status === 401) this.#signOut();
    return response.ok ? (await response.json()).ticket : null;
  }

  #hear(event) {
    if (!isNewer(event.id, this.#cursor)) return;
    this.#cursor = event.id;
    const { progress, audioUrl } = event.data;
    if (event.type === "audio:progress") {
      console.log(`[SSE] Audio progress: ${progress.percentage}% - ${progress.message}`);
    }
    if (event.type === "audio:complete") console.log(`[SSE] Audio complete: ${audioUrl}`);
    this.#emitter.emit("event", event);
    this.#emitter.emit(event.type, event.data);
  }

  #obey(type, data) {
    if (type === "ready") this.#ready(data);
    if (type === "goodbye") this.#lost(data.retryMs === undefined ? undefined : data.retryMs / 1000);
    if (type === "reset") {
      this.#cursor = data.cursor;
      this.#emitter.emit("reset", data);
    }
  }

  #ready({ cursor, connectionId }) {
    // Only where none was asked for: what is replayed from a cursor may be older than the log's end.
    this.#cursor ??= cursor ?? null;
    this.#liveSince = Date.now();
    console.log(`[SSE] Connected: ${connectionId}`);
    console.log("[SSE] Authenticated");
    for (const project of this.#projects) console.log(`[SSE] Subscribed to project: ${project}`);
    this.#become({ state: "live", connectionId });
  }

  /** The stream is over, against our will: try again after a while. */
  #lost(seconds) {
    if (this.#connection.state === "live" && Date.now() - this.#liveSince > LASTING_MS) this.#backoff.reset();
    const delay = seconds ?? this.#backoff.next();
    this.#drop();
    this.#become({ state: "retrying", seconds: delay });
    this.#timer = setTimeout(() => this.#reopen(), delay * 1000);
    if (seconds === undefined && !this.#token) this.#checkSession(this.#opening);
  }

  /** An EventSource does not tell its status, so a refusal for lack of a session is asked for beside it. */
  async #checkSession(opening) {
    const address = new URL("/api/session", new URL(this.#url, location.href));
    const status = await fetch(address, { credentials: "same-origin" }).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 401 && opening === this.#opening) this.#signOut();
  }

  #signOut() {
    removeEventListener("online", this.#retryNow);
    this.#drop();
    this.#become({ state: "signed-out" });
  }

  #become(connection) {
    const same = connection.state === this.#connection.state && connection.state !== "retrying";
    this.#connection = connection;
    if (!same) this.#emitter.emit("connection", connection);
  }
}
