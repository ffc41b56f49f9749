/** One stream over the browser's EventSource: opened once, it tells what arrives and, once, that it is over. */

import { parseCursor } from "./cursor.js";

const EVENT_TYPES = [
  ...["progress", "complete", "failed", "cancelled"].flatMap((verb) => [`parse:${verb}`, `audio:${verb}`]),
  ...["progress", "complete", "failed", "cancelled"].map((verb) => `book:${verb}`),
];
const CONTROL_TYPES = ["ready", "reset", "goodbye", "reauth", "heartbeat"];
const READY_WITHIN_SECONDS = 10;

/**
 * @typedef {object} StreamHandlers
 * @property {(event: import("./reducer.js").StoredEvent) => void} onEvent
 * @property {(type: string, data: Record<string, any>) => void} onControl `ready`, `reset`, `goodbye`, `reauth`
 * @property {(reason: "error" | "silent") => void} onEnd not called after `close()`
 */

/**
 * The address of a stream.
 *
 * @param {string} url
 * @param {{after: string | null, projects: Iterable<string>, ticket?: string | null}} from
 * @returns {string}
 */
export function streamAddress(url, { after, projects, ticket }) {
  const query = new URLSearchParams();
  if (after) query.set("after", after);
  for (const project of projects) query.append("project", project);
  if (ticket) query.set("ticket", ticket);
  const text = query.toString();
  return text ? `${url}${url.includes("?") ? "&" : "?"}${text}` : url;
}

/**
 * Ends on the first error, although an EventSource would retry by itself: its own retries repeat the first cursor, have
 * no jitter, and stop for good on an HTTP error. Ends too when heartbeats stop: a dead link raises no error.
 */
export class EventSourceStream {
  #source;
  #handlers;
  #watchdog = 0;
  #silenceSeconds = READY_WITHIN_SECONDS;

  /**
   * @param {string} address
   * @param {StreamHandlers} handlers
   */
  constructor(address, handlers) {
    this.#handlers = handlers;
    this.#source = new EventSource(address);
    this.#source.onerror = () => this.#end("error");
    for (const type of EVENT_TYPES) this.#source.addEventListener(type, (message) => this.#event(message));
    for (const type of CONTROL_TYPES) this.#source.addEventListener(type, (message) => this.#control(message));
    this.#feedWatchdog();
  }

  close() {
    clearTimeout(this.#watchdog);
    this.#source.close();
  }

  #event(message) {
    this.#feedWatchdog();
    if (!parseCursor(message.lastEventId)) return;
    this.#handlers.onEvent({ id: message.lastEventId, type: message.type, data: JSON.parse(message.data) });
  }

  #control(message) {
    const data = message.data ? JSON.parse(message.data) : {};
    if (message.type === "ready") this.#silenceSeconds = 2 * (data.heartbeatSeconds ?? 15) + 5;
    this.#feedWatchdog();
    if (message.type !== "heartbeat") this.#handlers.onControl(message.type, data);
  }

  #feedWatchdog() {
    clearTimeout(this.#watchdog);
    // A handler may have closed the stream in the meantime.
    if (this.#source.readyState === EventSource.CLOSED) return;
    this.#watchdog = setTimeout(() => this.#end("silent"), this.#silenceSeconds * 1000);
  }

  #end(reason) {
    this.close();
    this.#handlers.onEnd(reason);
  }
}
