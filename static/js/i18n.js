/** The language of the pages: which it is, what is said in it, and numbers, sizes and times as it writes them. */

import { keep, recall } from "./storage.js";

/** Each language's texts are fetched when they are wanted. */
const CATALOGUES = {
  en: () => import("./messages/en.js"),
  "zh-CN": () => import("./messages/zh-CN.js"),
};
const listeners = new Set();
let current = initialLocale();
let written = { locale: "" };
let { messages } = await CATALOGUES[current]();

/** @returns {"en" | "zh-CN"} */
function initialLocale() {
  const stored = recall("locale");
  if (stored === "en" || stored === "zh-CN") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
}

/** @returns {"en" | "zh-CN"} */
export const locale = () => current;

/** Where the texts cannot be fetched, all stays as it is. @param {"en" | "zh-CN"} next */
export async function setLocale(next) {
  const catalogue = await CATALOGUES[next]().catch(() => null);
  if (!catalogue) return;
  ({ messages } = catalogue);
  current = next;
  keep("locale", next);
  translate(document);
  for (const listener of [...listeners]) listener();
}

/** @param {() => void} listener @returns {() => void} its unsubscribe function */
export function onLocaleChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @param {string} key @returns {boolean} whether there is something to say under `key` */
export const has = (key) => key in messages;

/**
 * @param {string} key
 * @param {Record<string, string | number>} [values] for the `{name}`s; numbers are written as the language does
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = messages[key] ?? key;
  const text = typeof entry === "string" ? entry : (entry[plural(values.count)] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? formatNumber(values[name]) : String(values[name] ?? ""),
  );
}

const plural = (count) => writers().plural.select(Number(count));

/**
 * Fills what carries `data-i18n` (its text) or `data-i18n-<attribute>` (an attribute), and shows the page.
 *
 * @param {Document | Element} root
 */
export function translate(root) {
  const texts = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-i18n]"));
  for (const element of texts) element.textContent = t(element.dataset.i18n);
  for (const attribute of ["placeholder", "aria-label", "title"]) {
    for (const element of root.querySelectorAll(`[data-i18n-${attribute}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(`data-i18n-${attribute}`)));
    }
  }
  document.documentElement.lang = current;
  document.documentElement.dataset.ready = "";
}

/** @param {number} value */
export const formatNumber = (value) => writers().number.format(value);

/** Made once for each language: making them costs far more than using them. */
function writers() {
  if (written.locale !== current) {
    written = { locale: current, number: new Intl.NumberFormat(current), plural: new Intl.PluralRules(current) };
  }
  return written;
}

/** @param {number} bytes */
export function formatSize(bytes) {
  const [value, unit] =
    bytes < 1e6
      ? [Math.max(1, bytes / 1e3), "kilobyte"]
      : bytes < 1e9
        ? [bytes / 1e6, "megabyte"]
        : [bytes / 1e9, "gigabyte"];
  return new Intl.NumberFormat(current, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(
    value,
  );
}

/** @param {number} seconds @returns {string} like 3:07 or 1:02:45 */
export function formatDuration(seconds) {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/** @param {number} seconds @returns {string} how long something will still take, about */
export function formatEta(seconds) {
  if (seconds < 90) return t("eta.seconds", { count: Math.max(1, Math.round(seconds)) });
  if (seconds < 5400) return t("eta.minutes", { count: Math.round(seconds / 60) });
  return t("eta.hours", { count: Math.round(seconds / 3600) });
}

/** @param {number} amount @param {string} currency by ISO 4217 @returns {string} small amounts with more digits */
export const formatMoney = (amount, currency) =>
  new Intl.NumberFormat(current, { style: "currency", currency, maximumFractionDigits: amount < 0.1 ? 4 : 2 }).format(amount);

/** @param {number} rate @returns {string} like 1.25× */
export const formatRate = (rate) => t("player.rate", { rate: formatNumber(rate) });

/** @param {string} at RFC 3339 @returns {string} that moment, seen from now */
export function formatWhen(at) {
  const seconds = (new Date(at).getTime() - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(current, { numeric: "auto" });
  if (seconds > -60) return relative.format(0, "minute");
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return relative.format(Math.round(seconds / 3600), "hour");
  if (seconds > -30 * 86400) return relative.format(Math.round(seconds / 86400), "day");
  return new Intl.DateTimeFormat(current, { dateStyle: "medium" }).format(new Date(at));
}

/**
 * What to tell people of a failure: said in their language where its code is known, else as the server put it.
 *
 * @param {{code?: string, detail?: string, message?: string, status?: number, limit?: number}} error an ApiError or a
 *   job's error
 * @returns {string}
 */
export function describeError(error) {
  const detail = error.detail || error.message || "";
  const values = { detail, limit: error.limit ? formatSize(error.limit) : "" };
  if (has(`error.${error.code}`)) return t(`error.${error.code}`, values);
  if (error.status === 503) return t("error.unavailable");
  return detail || t("error.unexpected");
}
