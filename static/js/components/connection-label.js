/** Says how the connection is, and counts down to the next try while it is lost. */

import { t } from "../i18n.js";

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

  /** @param {import("../progress/client.js").Connection} connection */
  show({ state, seconds = 0 }) {
    clearInterval(this.#timer);
    this.#state = state;
    this.#retryAt = Date.now() + seconds * 1000;
    if (state === "retrying") this.#timer = setInterval(() => this.render(), 1000);
    this.render();
  }

  render() {
    const seconds = Math.ceil((this.#retryAt - Date.now()) / 1000);
    const soon = this.#state === "retrying" && seconds <= 0;
    this.#root.dataset.state = this.#state;
    this.#text.textContent = t(soon ? "connection.retryingNow" : `connection.${this.#state}`, { seconds });
  }
}
