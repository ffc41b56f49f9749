/** The second factor: whether it is on, and the dialogs in which it is turned on and off. */

import { api } from "../api.js";
import { t } from "../i18n.js";
import { partsOf, saving, showError } from "./dialog.js";
import { setAttribute, setText } from "./job-text.js";
import { byId } from "./parts.js";
import { RecoveryCodes } from "./recovery-codes.js";

const FEW_CODES = 3;

export class SecondFactor {
  #enrol = new ProofDialog(byId("enrol-dialog"));
  #confirm = new ProofDialog(byId("confirm-dialog"));
  #codes = new RecoveryCodes(byId("codes-dialog"));
  #handlers;
  #account = null;

  /** @param {{changed: (said: string) => void, fail: (error: any) => void}} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    byId("factor-begin").addEventListener("click", () => this.#begin());
    byId("factor-renew").addEventListener("click", () => this.#renew());
    byId("factor-disable").addEventListener("click", () => this.#disable());
  }

  /** @param {{user: string, secondFactor: boolean, recoveryCodes: number}} account */
  show(account) {
    this.#account = account;
    this.render();
  }

  render() {
    if (!this.#account) return;
    const { secondFactor: on, recoveryCodes: left } = this.#account;
    setText(byId("factor-state"), t(on ? "account.factorOn" : "account.factorOff"));
    setAttribute(byId("factor-state"), "data-state", on ? "completed" : "none");
    const key = on ? (left < FEW_CODES ? "account.fewCodes" : "account.factorOnText") : "account.factorOffText";
    setText(byId("factor-text"), t(key, { count: left }));
    byId("factor-off").hidden = on;
    byId("factor-on").hidden = !on;
  }

  async #begin() {
    try {
      const { secret, uri, qr } = await api.beginSecondFactor();
      byId("enrol-picture").replaceChildren(pictureOf(qr));
      setText(this.#enrol.parts.secret, secret.match(/.{1,4}/g).join(" "));
      this.#enrol.parts.link.href = uri;
    } catch (error) {
      return this.#handlers.fail(error);
    }
    const codes = await this.#enrol.ask((proof) => api.enableSecondFactor(proof));
    if (!codes) return;
    await this.#codes.show(codes, this.#account.user);
    this.#handlers.changed(t("account.factorEnabled"));
  }

  async #renew() {
    this.#say("account.factorRenew", "confirm.renewText", "confirm.renew");
    const codes = await this.#confirm.ask((proof) => api.renewRecoveryCodes(proof));
    if (!codes) return;
    await this.#codes.show(codes, this.#account.user);
    this.#handlers.changed(t("account.codesRenewed"));
  }

  async #disable() {
    this.#say("confirm.disableTitle", "confirm.disableText", "account.factorDisable");
    const disabled = await this.#confirm.ask(async (proof) => {
      await api.disableSecondFactor(proof);
      return true;
    });
    if (disabled) this.#handlers.changed(t("account.factorDisabled"));
  }

  #say(title, text, button) {
    for (const [element, key] of [
      [byId("confirm-title"), title],
      [byId("confirm-text"), text],
      [this.#confirm.parts.save, button],
    ]) {
      element.dataset.i18n = key;
      setText(element, t(key));
    }
    delete this.#confirm.parts.save.dataset.idle;
  }
}

/** A dialog that asks for the password and a code, and stays open until they are right. */
class ProofDialog {
  #dialog;
  #form;

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    /** @type {any} */
    this.parts = partsOf(dialog);
    this.parts.leave.addEventListener("click", () => dialog.close());
  }

  /**
   * @template T
   * @param {(proof: {password: string, code: string}) => Promise<T>} act
   * @returns {Promise<T | null>} what came of it; null where one has left
   */
  ask(act) {
    this.#form.reset();
    showError(this.parts, "");
    this.#dialog.showModal();
    return new Promise((resolve) => {
      let done = null;
      this.#form.onsubmit = async (event) => {
        event.preventDefault();
        const proof = this.#proof();
        if (!proof) return;
        const right = await saving(this.parts, async () => {
          done = await act(proof);
        });
        if (right) this.#dialog.close();
        else this.#form.elements.code.select();
      };
      this.#dialog.addEventListener("close", () => resolve(done), { once: true });
    });
  }

  #proof() {
    const { password, code } = this.#form.elements;
    const fields = [...this.#form.querySelectorAll("input")];
    const missing = fields.find((field) => !field.value.trim());
    if (!missing) return { password: password.value, code: code.value };
    showError(this.parts, t("confirm.missing"));
    missing.focus();
    return null;
  }
}

/** @param {string} svg a picture of the server's own @returns {Element} */
function pictureOf(svg) {
  const picture = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  picture.setAttribute("aria-hidden", "true");
  return document.importNode(picture, true);
}
