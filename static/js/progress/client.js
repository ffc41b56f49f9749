/** The live progress of a user's jobs: `createProgressClient({url}).connect()`, then listen with the `on…` methods. */

import { TIMINGS } from "./clock.js";
import { Emitter } from "./emitter.js";
import { Endpoint } from "./endpoint.js";
import { TabClient } from "./tab-client.js";

/** @typedef {import("./tab-client.js").ConnectionStatus} ConnectionStatus */
/** @typedef {import("./reducer.js").StoredEvent} StoredEvent */
/** @typedef {() => void} Unsubscribe */

/**
 * @param {object} [options]
 * @param {string} [options.url] where the events are, `/api/events` by default
 * @param {Partial<import("./clock.js").Timings>} [options.timings] seconds, where the usual ones will not do
 * @returns {ProgressClient}
 */
export function createProgressClient({ url = "/api/events", timings = {} } = {}) {
  return new ProgressClient(url, { ...TIMINGS, ...timings });
}

/**
 * Tells what happens to a user's jobs for as long as it is wanted: each event once, none missed, over every loss of the
 * connection, and over one connection for all tabs of the browser. Where the server no longer has what was missed,
 * `onReset` brings a snapshot instead.
 */
export class ProgressClient {
  #url;
  #timings;
  #emitter = new Emitter();
  /** @type {Set<string>} */
  #projects = new Set();
  /** @type {TabClient | null} */
  #tabClient = null;
  /** @type {string | null} */
  #cursor = null;
  /** @type {ConnectionStatus} */
  #connection = { state: "closed", leads: false };

  /**
   * @param {string} url
   * @param {import("./clock.js").Timings} timings
   */
  constructor(url, timings) {
    this.#url = url;
    this.#timings = timings;
  }

  /** How the connection is. */
  get connection() {
    return this.#connection;
  }

  /** The id of the last event heard. @returns {string | null} */
  get cursor() {
    return this.#tabClient?.cursor ?? this.#cursor;
  }

  /**
   * Begins, and goes on until `disconnect()`.
   *
   * @param {object} [options]
   * @param {import("./endpoint.js").Token | null} [options.token] a bearer token, or what gets a fresh one, where no
   *   session cookie is at hand; it is exchanged for single-use tickets and never stands in an address
   * @param {string | null} [options.after] the cursor of the snapshot one has; without it, events from now on
   * @returns {this}
   */
  connect({ token = null, after = null } = {}) {
    const cursor = after ?? this.cursor;
    this.#tabClient?.stop();
    const address = new URL(this.#url, location.href).href;
    const handlers = {
      onEvent: this.#hear.bind(this),
      onReset: this.#reset.bind(this),
      onConnection: this.#become.bind(this),
    };
    this.#tabClient = new TabClient(new Endpoint(address, token, this.#timings), cursor, handlers, this.#timings);
    this.#tabClient.start();
    return this;
  }

  /** Lets the connection go; the cursor and the listeners stay, for a later `connect()`. */
  disconnect() {
    this.#cursor = this.cursor;
    this.#tabClient?.stop();
    this.#tabClient = null;
  }

  /**
   * Narrows what is told to this project, and those subscribed to before. Without any, it is all of the user's.
   *
   * @param {string} id
   * @returns {Unsubscribe}
   */
  subscribeToProject(id) {
    const isNew = !this.#projects.has(id);
    this.#projects.add(id);
    if (isNew && this.#connection.state === "live") logSubscription(id);
    return () => void this.#projects.delete(id);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onParseProgress(listener) {
    return this.#emitter.on("parse:progress", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onAudioProgress(listener) {
    return this.#emitter.on("audio:progress", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onAudioComplete(listener) {
    return this.#emitter.on("audio:complete", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onAudioFailed(listener) {
    return this.#emitter.on("audio:failed", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onBookProgress(listener) {
    return this.#emitter.on("book:progress", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onBookComplete(listener) {
    return this.#emitter.on("book:complete", listener);
  }

  /** @param {(data: any) => void} listener @returns {Unsubscribe} */
  onBookFailed(listener) {
    return this.#emitter.on("book:failed", listener);
  }

  /** @param {(connection: ConnectionStatus) => void} listener @returns {Unsubscribe} */
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
   * @param {(reset: import("./endpoint.js").Reset) => void} listener
   * @returns {Unsubscribe}
   */
  onReset(listener) {
    return this.#emitter.on("reset", listener);
  }

  /** @param {string} project */
  #wants(project) {
    return this.#projects.size === 0 || this.#projects.has(project);
  }

  /** @param {StoredEvent} event */
  #hear(event) {
    if (!this.#wants(event.data.projectId)) return;
    logEvent(event);
    this.#emitter.emit("event", event);
    this.#emitter.emit(event.type, event.data);
  }

  /** @param {import("./endpoint.js").Reset} reset */
  #reset({ cursor, jobs }) {
    this.#emitter.emit("reset", { cursor, jobs: jobs.filter((job) => this.#wants(job.projectId)) });
  }

  /** @param {ConnectionStatus} connection */
  #become(connection) {
    const before = this.#connection;
    this.#connection = connection;
    if (sameOf(before, connection)) return;
    this.#log(before, connection);
    this.#emitter.emit("connection", connection);
  }

  /** @param {ConnectionStatus} before @param {ConnectionStatus} connection */
  #log(before, connection) {
    const { state, reason, connectionId } = connection;
    if (isOpening(connection) && !isOpening(before)) console.log(`[SSE] Connecting to ${this.#url}`);
    if (state === "polling" && before.state !== "polling") console.log(`[SSE] Polling ${this.#url} (${reason})`);
    if (state !== "live" || (before.state === "live" && before.connectionId === connectionId)) return;
    console.log(`[SSE] Connected: ${connectionId}`);
    console.log("[SSE] Authenticated");
    for (const project of this.#projects) logSubscription(project);
  }
}

/** @param {string} project */
function logSubscription(project) {
  console.log(`[SSE] Subscribed to project: ${project}`);
}

/** @param {StoredEvent} event */
function logEvent({ type, data: { progress, audioUrl } }) {
  if (type === "audio:progress") console.log(`[SSE] Audio progress: ${progress.percentage}% - ${progress.message}`);
  if (type === "audio:complete") console.log(`[SSE] Audio complete: ${audioUrl}`);
}

/** Whether it is opening a connection, not waiting to. @param {ConnectionStatus} connection */
const isOpening = ({ state, retryInSeconds }) => state === "connecting" && retryInSeconds === undefined;

/**
 * Whether there is nothing new to tell. A countdown that goes on is nothing new.
 *
 * @param {ConnectionStatus} one
 * @param {ConnectionStatus} other
 */
function sameOf(one, other) {
  return (
    one.state === other.state &&
    one.reason === other.reason &&
    one.connectionId === other.connectionId &&
    one.leads === other.leads &&
    (one.retryInSeconds === undefined) === (other.retryInSeconds === undefined)
  );
}
