/** The button that switches between light and dark. Choosing what the system has means to follow the system again. */

import { onLocaleChange, t } from "../i18n.js";
import { keep } from "../storage.js";
import { setAttribute } from "./job-text.js";
import { iconHref } from "./parts.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = () => (system.matches ? "dark" : "light");
const shownTheme = () => document.documentElement.dataset.theme ?? systemTheme();

/** @param {HTMLButtonElement} button with an icon in it */
export function wireThemeButton(button) {
  const render = () => {
    const other = shownTheme() === "dark" ? "light" : "dark";
    setAttribute(button.querySelector("use"), "href", iconHref(other === "dark" ? "moon" : "sun"));
    for (const attribute of ["aria-label", "title"]) setAttribute(button, attribute, t(`app.${other}`));
  };
  button.addEventListener("click", () => {
    choose(shownTheme() === "dark" ? "light" : "dark");
    render();
  });
  system.addEventListener("change", render);
  onLocaleChange(render);
  render();
}

function choose(theme) {
  const own = theme !== systemTheme();
  if (own) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  keep("theme", own ? theme : null);
}
