/** How the reading of a manuscript goes, or why it failed. */

import { describeError, t } from "../i18n.js";
import { isRunning, percentage, percentText, setText, showProgress, stageText } from "./job-text.js";

const TITLES = { failed: "project.parseFailed", cancelled: "project.parseCancelled" };

/** @typedef {Record<"root" | "title" | "work" | "bar" | "stage" | "percent" | "reason" | "hint", any>} PanelParts */

export class ParsePanel {
  #parts;

  /** @param {PanelParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** @param {import("../progress/reducer.js").Job | null} job */
  update(job) {
    const { root, title, work, bar, stage, percent, reason, hint } = this.#parts;
    root.hidden = !job || job.state === "completed";
    if (root.hidden) return;
    root.dataset.state = job.state;
    setText(title, t(TITLES[job.state] ?? "project.parsing"));
    setText(hint, t(isRunning(job) ? "project.parsingText" : "project.parseFailedText"));
    reason.hidden = job.state !== "failed";
    setText(reason, job.error ? describeError(job.error) : "");
    work.hidden = !isRunning(job);
    showProgress(bar, percentage(job), t("project.parsing"));
    setText(stage, stageText(job));
    setText(percent, percentText(job));
  }
}
