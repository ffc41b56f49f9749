/** All chapters taken together: how many are ready, how far the rest is, and the buttons for all. */

import { formatEta, t } from "../i18n.js";
import { setText, showProgress } from "./job-text.js";

/**
 * @typedef {Record<"text" | "share" | "percent" | "eta" | "bar" | "generate" | "cancel" | "none" | "root", any>} OverallParts
 */

export class OverallPanel {
  #parts;

  /** @param {OverallParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * @param {import("../project-model.js").Overall} overall
   * @param {boolean} parsed whether there is nothing more to come
   */
  update(overall, parsed) {
    const { root, text, none, generate, cancel } = this.#parts;
    const { count, running, wanting } = overall;
    root.hidden = count === 0 && !parsed;
    none.hidden = count > 0;
    setText(text, count ? said(overall) : "");
    const hadFocus = document.activeElement === generate || document.activeElement === cancel;
    generate.hidden = wanting === 0;
    cancel.hidden = running === 0;
    const left = [cancel, generate].find((button) => !button.hidden);
    if (hadFocus && document.activeElement !== left) left?.focus({ preventScroll: true });
    this.#updateShare(overall);
  }

  #updateShare({ percentage, etaSeconds }) {
    const { share, percent, eta, bar } = this.#parts;
    share.hidden = bar.hidden = percentage === null;
    if (percentage === null) return;
    setText(percent, t("unit.percent", { value: percentage }));
    setText(eta, etaSeconds === null ? "" : formatEta(etaSeconds));
    showProgress(bar, percentage, t("project.overall"));
  }
}

function said({ count, ready, running }) {
  const done = t(ready === count ? "project.allReady" : "project.ready", { count, done: ready });
  return running ? `${t("project.generating", { count: running })} · ${done}` : done;
}
