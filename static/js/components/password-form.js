/** The form in which one changes one's password. */

import { api } from "../api.js";
import { t } from "../i18n.js";
import { partsOf, saving, showError } from "./dialog.js";
import { setText } from "./job-text.js";
import { byId } from "./parts.js";

export class PasswordForm {
  #form = byId("password-form");
  /** @type {any} */
  #parts = partsOf(this.#form);
  #shortest = 0;
  #onChanged;

  /** @param {() => void} onChanged is called when the password is another */
  constructor(onChanged) {
    this.#onChanged = onChanged;
    const { current, next, shown } = this.#form.elements;
    shown.addEventListener("change", () => {
      for (const field of [current, next]) field.type = shown.checked ? "text" : "password";
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  /** @param {{user: string, minPasswordCharacters: number}} account */
  show(account) {
    this.#form.elements.username.value = account.user;
    this.#shortest = account.minPasswordCharacters;
    this.render();
  }

  render() {
    setText(byId("password-hint"), t("account.passwordHint", { count: this.#shortest }));
  }

  async #save() {
    const { current, next } = this.#form.elements;
    const missing = [current, next].find((field) => !field.value);
    if (missing) {
      showError(this.#parts, t("account.passwordsMissing"));
      return missing.focus();
    }
    if (await saving(this.#parts, () => api.changePassword(current.value, next.value))) {
      this.#form.reset();
      for (const field of [current, next]) field.type = "password";
      this.#onChanged();
    }
  }
}
