/** Says how the connection is, and counts down to the next try while it is lost. */

import { t } from "../i18n.js";
import { CLOCK } from "../progress/clock.js";

/** What the client calls a lost connection that is to be tried again. */
const OFFLINE = new Set(["offline", "retrying"]);

export class ConnectionLabel {
  #root;
  #text;
  #state = "closed";
  #retryAt = 0;
  #timer = 0;

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} text
   */
  constructor(root, text) {
    this.#root = root;
    this.#text = text;
  }

  /** @param {{state: string, retryInSeconds?: number, seconds?: number}} connection */
  show({ state, retryInSeconds, seconds }) {
    clearInterval(this.#timer);
    this.#state = OFFLINE.has(state) ? "offline" : state;
    this.#retryAt = CLOCK.now() + (retryInSeconds ?? seconds ?? 0) * 1000;
    if (this.#state === "offline") this.#timer = setInterval(() => this.render(), 1000);
    this.render();
  }

  render() {
    const seconds = Math.ceil((this.#retryAt - CLOCK.now()) / 1000);
    const soon = this.#state === "offline" && seconds <= 0;
    this.#root.dataset.state = this.#state;
    this.#text.textContent = t(soon ? "connection.offlineNow" : `connection.${this.#state}`, { seconds });
  }
}

/** @param {{state: string}} connection whether events come in, by whichever way */
export const isConnected = ({ state }) => state === "live" || state === "polling";
