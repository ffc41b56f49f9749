/** The button that switches the page to the other language. */

import { locale, onLocaleChange, setLocale, t } from "../i18n.js";

/** @param {HTMLButtonElement} button */
export function wireLanguageButton(button) {
  const render = () => {
    button.textContent = t("app.otherLanguage");
    button.setAttribute("aria-label", t("app.otherLanguageLabel"));
    button.lang = other();
  };
  button.addEventListener("click", () => setLocale(other()));
  onLocaleChange(render);
  render();
}

const other = () => (locale() === "en" ? "zh-CN" : "en");
