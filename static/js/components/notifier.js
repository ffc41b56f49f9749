/** Tells of the end of a narration while one looks elsewhere, if one has asked for that. */

import { t } from "../i18n.js";
import { keep, recall } from "../storage.js";

export class Notifier {
  #button;
  #toaster;

  /**
   * @param {HTMLButtonElement} button hidden where the browser has no notifications for this page
   * @param {import("./toaster.js").Toaster} toaster
   */
  constructor(button, toaster) {
    this.#button = button;
    this.#toaster = toaster;
    button.hidden = !("Notification" in window) || !isSecureContext;
    button.addEventListener("click", () => this.#toggle());
    this.#render();
  }

  get #wanted() {
    return recall("notify") === "on" && window.Notification?.permission === "granted";
  }

  /**
   * @param {string} title
   * @param {{body: string, tag: string}} what of several tabs that tell the same `tag`, one is shown
   */
  tell(title, { body, tag }) {
    if (!this.#wanted || !document.hidden) return;
    try {
      const notification = new Notification(title, { body, tag, icon: "/static/favicon.svg" });
      notification.addEventListener("click", () => window.focus());
    } catch (error) {
      // Chrome on Android shows them from service workers only.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  async #toggle() {
    if (this.#wanted) {
      keep("notify", null);
      this.#toaster.show(t("notify.off"));
    } else {
      const granted = (await Notification.requestPermission()) === "granted";
      if (granted) keep("notify", "on");
      this.#toaster.show(t(granted ? "notify.on" : "notify.denied"), granted ? "info" : "error");
    }
    this.#render();
  }

  #render() {
    this.#button.setAttribute("aria-pressed", String(this.#wanted));
  }
}
