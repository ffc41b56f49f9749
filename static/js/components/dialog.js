/** Dialogs of the page: a question with its answer, and a form that is saved before it closes. */

import { describeError, t } from "../i18n.js";

/**
 * Asks, and waits for the answer.
 *
 * @param {HTMLDialogElement} dialog with a form of method `dialog`
 * @returns {Promise<string>} the value of the button pressed; empty where it was closed without an answer
 */
export function ask(dialog) {
  // Escape closes the dialog without an answer: not with the one before.
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

/** @param {HTMLElement} dialog @returns {Record<string, any>} its parts by their `data-part` names */
export const partsOf = (dialog) =>
  Object.fromEntries([.../** @type {NodeListOf<HTMLElement>} */ (dialog.querySelectorAll("[data-part]"))].map((part) => [part.dataset.part, part]));

/**
 * While `save` runs the button says so; what it throws is told in the dialog, which then stays open.
 *
 * @param {{error: HTMLElement, save: HTMLButtonElement}} parts
 * @param {() => Promise<void>} save
 * @returns {Promise<boolean>} whether it was saved
 */
export async function saving(parts, save) {
  showError(parts, "");
  setBusy(parts.save, true);
  try {
    await save();
    return true;
  } catch (error) {
    showError(parts, describeError(error));
    return false;
  } finally {
    setBusy(parts.save, false);
  }
}

/** @param {{error: HTMLElement}} parts @param {string} text empty: none */
export function showError({ error }, text) {
  error.textContent = text;
  error.hidden = !text;
}

function setBusy(button, busy) {
  button.setAttribute("aria-disabled", String(busy));
  // What the button says by itself is kept while it says that it is at work.
  if (busy) button.dataset.idle ??= button.dataset.i18n ?? "app.save";
  button.dataset.i18n = busy ? "app.saving" : button.dataset.idle;
  button.textContent = t(button.dataset.i18n);
}
