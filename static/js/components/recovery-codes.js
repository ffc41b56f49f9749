/** The dialog that shows recovery codes, which nobody can see again. */

import { t } from "../i18n.js";
import { ask } from "./dialog.js";
import { byId } from "./parts.js";

export class RecoveryCodes {
  #dialog;
  /** @type {string[]} */
  #codes = [];
  #user = "";

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    // Only its button closes it: they are shown once.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    byId("codes-copy").addEventListener("click", () => this.#copy());
    byId("codes-save").addEventListener("click", () => this.#save());
  }

  /** @param {string[]} codes @param {string} user @returns {Promise<void>} once they are put away */
  async show(codes, user) {
    this.#codes = codes;
    this.#user = user;
    byId("codes-list").replaceChildren(
      ...codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })),
    );
    byId("codes-copy").textContent = t("codes.copy");
    await ask(this.#dialog);
    byId("codes-list").replaceChildren();
    this.#codes = [];
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#codes.join("\n"));
      byId("codes-copy").textContent = t("codes.copied");
    } catch {
      // Not allowed, or not over http: they can be marked by hand.
      getSelection().selectAllChildren(byId("codes-list"));
    }
  }

  #save() {
    const lines = [t("codes.head", { user: this.#user, site: location.host }), "", ...this.#codes, ""];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/plain" }));
    link.download = "smartvoice-recovery-codes.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href));
  }
}
