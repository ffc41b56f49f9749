/** What is said of a job: its stage, its state, how far it is. */

import { formatEta, has, t } from "../i18n.js";

/** @typedef {import("../progress/reducer.js").Job} Job */

/** When a job that rests before its next attempt was first seen so: its `etaSeconds` count from then. */
const restingSince = new WeakMap();

const PREFIXES = { "text-parsing": "parse", "audio-generation": "audio", "book-assembly": "book" };

/** @param {Job | null | undefined} job */
export const isRunning = (job) => job?.state === "waiting" || job?.state === "active";

/** @param {Job | null | undefined} job whether it waits to be tried again */
export const isResting = (job) => job?.state === "waiting" && job.progress?.stage === "retrying";

/**
 * The stage in the reader's language, or where it is not known here as the server put it.
 *
 * @param {Job} job
 * @returns {string}
 */
export function stageText(job) {
  if (!job.progress) return t(`state.${job.state}`);
  const { stage, message } = job.progress;
  const key = `${PREFIXES[job.queue]}.stage.${stage}`;
  return has(key) ? t(key) : message;
}

/** What is left of the job, or of its rest, in words; empty where nobody knows. @param {Job} job @returns {string} */
export function etaText(job) {
  const seconds = job.progress?.etaSeconds;
  if (!seconds) return "";
  if (!isResting(job)) return formatEta(seconds);
  if (!restingSince.has(job)) restingSince.set(job, performance.now());
  const left = Math.ceil(seconds - (performance.now() - restingSince.get(job)) / 1000);
  return left > 0 ? t("eta.again", { count: left }) : "";
}

/** @param {Job} job @returns {number} 0 to 100 */
export const percentage = (job) => job.progress?.percentage ?? 0;

/** @param {Job} job @returns {string} */
export const percentText = (job) => t("unit.percent", { value: percentage(job) });

/**
 * Sets only what differs: a write of the same text would still cost a layout.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The same for an attribute. @param {Element} element @param {string} name @param {string} value */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The same for whether an element is shown. @param {HTMLElement} element @param {boolean} hidden */
export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/**
 * @param {HTMLProgressElement} bar
 * @param {number} value 0 to 100
 * @param {string} label what progresses
 */
export function showProgress(bar, value, label) {
  if (bar.value !== value || !bar.hasAttribute("value")) bar.value = value;
  setText(bar, t("unit.percent", { value }));
  setAttribute(bar, "aria-label", label);
}
