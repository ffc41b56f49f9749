/** What is said of a job: its stage, its state, how far it is. */

import { has, t } from "../i18n.js";

/** @typedef {import("../progress/reducer.js").Job} Job */

/** @param {Job | null | undefined} job */
export const isRunning = (job) => job?.state === "waiting" || job?.state === "active";

/**
 * The stage in the reader's language, or where it is not known here as the server put it.
 *
 * @param {Job} job
 * @returns {string}
 */
export function stageText(job) {
  if (!job.progress) return t(`state.${job.state}`);
  const { stage, message } = job.progress;
  const key = `${job.queue === "text-parsing" ? "parse" : "audio"}.stage.${stage}`;
  return has(key) ? t(key) : message;
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

/**
 * @param {HTMLProgressElement} bar
 * @param {Job} job
 * @param {string} label what progresses
 */
export function showProgress(bar, job, label) {
  bar.value = percentage(job);
  setText(bar, percentText(job));
  setAttribute(bar, "aria-label", label);
}
