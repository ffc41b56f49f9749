/** All chapters taken together: how many are ready, how far the rest is, and the buttons for all. */

import { formatDuration, formatEta, formatMoney, t } from "../i18n.js";
import { setHidden, setText, showProgress } from "./job-text.js";

/**
 * @typedef {Record<"text" | "share" | "percent" | "eta" | "bar" | "generate" | "cancel" | "listen" | "none" | "root", any>} OverallParts
 */

export class OverallPanel {
  #parts;

  /** @param {OverallParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * @param {import("../project-model.js").Overall} overall
   * @param {{parsed: boolean, starting: boolean}} state whether no chapters are to come any more, and whether all have
   *   just been asked for
   */
  update(overall, { parsed, starting }) {
    const { root, text, none } = this.#parts;
    const { count } = overall;
    setHidden(root, count === 0 && !parsed);
    setHidden(none, count > 0);
    setText(text, count ? said(overall) : "");
    this.#updateButtons(overall, starting);
    this.#updateShare(overall);
  }

  /** There is always one of them, so that nothing moves when the work ends; the focus goes with what takes its place. */
  #updateButtons({ count, running, wanting }, starting) {
    const { generate, cancel, listen } = this.#parts;
    const buttons = [cancel, generate, listen];
    const focused = buttons.find((button) => button === document.activeElement);
    setHidden(cancel, running === 0 && !starting);
    setHidden(generate, wanting === 0 || starting);
    setHidden(listen, count === 0 || !cancel.hidden || !generate.hidden);
    if (focused?.hidden) buttons.find((button) => !button.hidden)?.focus({ preventScroll: true });
  }

  #updateShare({ percentage, etaSeconds }) {
    const { share, percent, eta, bar } = this.#parts;
    for (const part of [share, bar]) setHidden(part, percentage === null);
    if (percentage === null) return;
    setText(percent, t("unit.percent", { value: percentage }));
    setText(eta, etaSeconds === null ? "" : formatEta(etaSeconds));
    showProgress(bar, percentage, t("project.overall"));
  }
}

/** What is under way, what is there, what is wrong with the rest, and what "Generate all" will bring and cost. */
function said({ count, ready, running, failed, wanting, wantingSeconds, wantingCost, currency }) {
  const changed = ready === count && wanting;
  const waits = !running && wanting;
  const parts = [
    running && t("project.generating", { count: running }),
    t(ready === count ? "project.allReady" : "project.ready", { count, done: ready }),
    failed && t("project.failed", { count: failed }),
    changed && t("project.changed", { count: changed }),
    waits && t("project.toGenerate", { duration: formatDuration(wantingSeconds) }),
    waits && wantingCost !== null && t("project.cost", { cost: formatMoney(wantingCost, currency) }),
  ];
  return parts.filter(Boolean).join(" · ");
}
