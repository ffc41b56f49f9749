/** Short messages in the corner of the page. */

import { t } from "../i18n.js";
import { iconHref } from "./parts.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_MS = { info: 6000, error: 12_000 };

export class Toaster {
  #container;

  /** @param {HTMLElement} container */
  constructor(container) {
    this.#container = container;
  }

  /**
   * @param {string} text
   * @param {"info" | "error"} [kind]
   */
  show(text, kind = "info") {
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.kind = kind;
    toast.setAttribute("role", kind === "error" ? "alert" : "status");
    const words = document.createElement("p");
    words.textContent = text;
    toast.append(words, closeButton(() => toast.remove()));
    this.#container.append(toast);
    setTimeout(() => toast.remove(), SHOWN_MS[kind]);
  }
}

function closeButton(close) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button-icon";
  button.setAttribute("aria-label", t("app.close"));
  const icon = document.createElementNS(SVG, "svg");
  icon.classList.add("icon");
  icon.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", iconHref("close"));
  icon.append(use);
  button.append(icon);
  button.addEventListener("click", close);
  return button;
}
