/** The second step of signing in: the code of an authenticator app, or a recovery code. */

import { t } from "../i18n.js";
import { byId } from "./parts.js";

export class SecondStep {
  #form = byId("second-step");
  #other = byId("other-code");
  #recovery = false;

  /**
   * @param {{send: (code: string) => Promise<void>, missing: () => void, back: () => void}} handlers what is done with
   *   the code, without one, and when one leaves
   */
  constructor({ send, missing, back }) {
    const submit = this.#form.querySelector("[type=submit]");
    this.#form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const code = this.#form.elements.code.value.trim();
      if (!code) return missing();
      submit.disabled = true;
      await send(code);
      submit.disabled = false;
      this.#form.elements.code.select();
    });
    this.#other.addEventListener("click", () => this.#ask(!this.#recovery));
    byId("back").addEventListener("click", back);
  }

  open() {
    this.#form.hidden = false;
    this.#ask(false);
  }

  close() {
    this.#form.hidden = true;
  }

  #ask(recovery) {
    this.#recovery = recovery;
    const { code } = this.#form.elements;
    code.value = "";
    code.inputMode = recovery ? "text" : "numeric";
    code.autocomplete = recovery ? "off" : "one-time-code";
    say(byId("code-label"), recovery ? "signin.recoveryCode" : "signin.code");
    say(this.#other, recovery ? "signin.useApp" : "signin.useRecovery");
    code.focus();
  }
}

function say(element, key) {
  element.dataset.i18n = key;
  element.textContent = t(key);
}
