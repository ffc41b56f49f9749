/** One chapter's row: what there is of it, what is being done, and what one can do. */

import { describeError, formatDuration, formatMoney, t } from "../i18n.js";
import {
  etaText,
  isResting,
  isRunning,
  percentage,
  percentText,
  setAttribute,
  setHidden,
  setText,
  showProgress,
  stageText,
} from "./job-text.js";
import { iconHref, instantiate } from "./parts.js";

/** @typedef {import("../project-model.js").Chapter} Chapter */

/**
 * @typedef {object} RowActions
 * @property {(chapterId: string) => Promise<unknown>} generate
 * @property {(chapterId: string) => Promise<unknown>} cancel
 * @property {(chapterId: string) => void} edit
 * @property {(chapterId: string) => void} play
 * @property {(chapterId: string) => Promise<unknown>} merge with the chapter before
 */

export class ChapterRow {
  #parts;
  #busy = false;

  /**
   * @param {string} id
   * @param {RowActions} actions
   */
  constructor(id, actions) {
    const { root, parts } = instantiate("chapter-row");
    this.root = root;
    this.#parts = parts;
    parts.play.addEventListener("click", () => actions.play(id));
    parts.edit.addEventListener("click", () => actions.edit(id));
    parts.merge.addEventListener("click", () => this.#whileBusy(() => actions.merge(id)));
    parts.generate.addEventListener("click", () => this.#whileBusy(() => actions.generate(id)));
    parts.cancel.addEventListener("click", (event) => {
      // The second click of a double click on "Generate audio", which stood in the same place.
      if (event.detail < 2) this.#whileBusy(() => actions.cancel(id));
    });
  }

  /**
   * @param {Chapter} chapter
   * @param {boolean} playing
   */
  update(chapter, playing) {
    const { job } = chapter;
    const { number, title, meta, reason } = this.#parts;
    setText(number, String(chapter.number));
    setText(title, titleOf(chapter));
    setText(meta, factsOf(chapter).join(" · "));
    setHidden(reason, job?.state !== "failed");
    setText(reason, job?.state === "failed" && job.error ? describeError(job.error) : "");
    this.#updateDoubt(chapter);
    this.#updateStatus(chapter);
    this.#updateActions(chapter);
    this.#updateAudio(chapter, playing);
  }

  /** Where it is only a guess that a chapter begins here, what to do about it is one click away. */
  #updateDoubt(chapter) {
    const { doubt, doubtText, merge } = this.#parts;
    setHidden(doubt, chapter.confidence !== "low" || chapter.number === 1);
    setText(doubtText, t("chapter.doubt"));
    label(merge, t("chapter.merge"), titleOf(chapter));
    setHidden(merge, isRunning(chapter.job));
  }

  /** Every row has room for its status at all times: nothing moves when it begins to work. */
  #updateStatus(chapter) {
    const { state, percent, note, bar } = this.#parts;
    const { job } = chapter;
    setAttribute(state, "data-state", stateOf(chapter));
    setText(state, isRunning(job) ? stageText(job) : t(`state.${stateOf(chapter)}`));
    for (const part of [percent, bar]) setHidden(part, job?.state !== "active");
    setText(note, noteOf(chapter));
    setAttribute(note, "data-kind", isRunning(job) ? "" : "outdated");
    if (job?.state !== "active") return;
    setText(percent, percentText(job));
    showProgress(bar, percentage(job), titleOf(chapter));
  }

  #updateActions(chapter) {
    const { edit, generate, cancel } = this.#parts;
    const running = isRunning(chapter.job);
    const title = titleOf(chapter);
    const hadFocus = document.activeElement === generate || document.activeElement === cancel;
    label(generate, t(verbOf(chapter)), title);
    setAttribute(generate, "class", chapter.audioUrl && !chapter.outdated ? "button button-quiet" : "button");
    label(cancel, t("chapter.cancel"), title);
    name(edit, t("chapter.edit"), title);
    setHidden(generate, running);
    setHidden(cancel, !running);
    // What one pressed goes away and its counterpart comes: the focus goes with it.
    if (hadFocus) (running ? cancel : generate).focus({ preventScroll: true });
  }

  #updateAudio(chapter, playing) {
    const { play, playIcon, download } = this.#parts;
    const title = titleOf(chapter);
    for (const part of [play, download]) setHidden(part, !chapter.audioUrl);
    name(play, t(playing ? "chapter.pause" : "chapter.play"), title);
    setAttribute(playIcon, "href", iconHref(playing ? "pause" : "play"));
    this.root.toggleAttribute("data-playing", playing);
    name(download, t("chapter.download"), title);
    if (!chapter.audioUrl) return;
    setAttribute(download, "href", chapter.audioUrl);
    setAttribute(download, "download", fileName(chapter));
  }

  async #whileBusy(action) {
    if (this.#busy) return;
    this.#setBusy(true);
    try {
      await action();
    } finally {
      this.#setBusy(false);
    }
  }

  /** Not `disabled`, which would drop the focus. */
  #setBusy(busy) {
    this.#busy = busy;
    const { generate, cancel, merge } = this.#parts;
    for (const button of [generate, cancel, merge]) button.setAttribute("aria-disabled", String(busy));
  }
}

/** @param {Chapter} chapter @returns {string} never empty */
export const titleOf = (chapter) => chapter.title || t("chapter.number", { number: chapter.number });

/** @param {Chapter} chapter @returns {string} what a download is called */
export const fileName = (chapter) =>
  `${String(chapter.number).padStart(2, "0")} - ${titleOf(chapter).replace(/[\\/:*?"<>|\p{Cc}]/gu, " ")}.mp3`;

function factsOf({ characters, durationSeconds, estimatedSeconds, estimatedCost, currency }) {
  const duration = durationSeconds
    ? formatDuration(durationSeconds)
    : t("chapter.about", { duration: formatDuration(estimatedSeconds) });
  const cost = durationSeconds || estimatedCost === null ? [] : [t("chapter.about", { duration: formatMoney(estimatedCost, currency) })];
  return [t("unit.characters", { count: characters }), duration, ...cost];
}

function stateOf({ job, audioUrl }) {
  if (isResting(job)) return "resting";
  if (isRunning(job) || job?.state === "failed") return job.state;
  if (audioUrl) return "completed";
  return job?.state === "cancelled" ? "cancelled" : "none";
}

function noteOf({ job, outdated }) {
  if (!isRunning(job)) return outdated ? t("chapter.outdated") : "";
  const again = job.attempt > 1 ? t("chapter.attempt", { count: job.attempt }) : "";
  return [etaText(job), again].filter(Boolean).join(" · ");
}

function verbOf({ job, audioUrl }) {
  if (job?.state === "failed") return "chapter.retry";
  return audioUrl ? "chapter.regenerate" : "chapter.generate";
}

function label(button, action, title) {
  setText(button, action);
  setAttribute(button, "aria-label", t("chapter.action", { action, title }));
}

function name(element, action, title) {
  setAttribute(element, "aria-label", t("chapter.action", { action, title }));
  setAttribute(element, "title", action);
}
