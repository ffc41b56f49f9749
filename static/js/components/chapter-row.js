/** One chapter's row: what there is of it, what is being done, and what one can do. */

import { describeError, formatDuration, formatEta, t } from "../i18n.js";
import { isRunning, percentText, setAttribute, setText, showProgress, stageText } from "./job-text.js";
import { iconHref, instantiate } from "./parts.js";

/** @typedef {import("../project-model.js").Chapter} Chapter */

/**
 * @typedef {object} RowActions
 * @property {(chapterId: string) => Promise<void>} generate
 * @property {(chapterId: string) => Promise<void>} cancel
 * @property {(chapterId: string) => void} play
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
    const parts = this.#parts;
    setText(parts.number, String(chapter.number));
    setText(parts.title, titleOf(chapter));
    this.#updateMeta(chapter);
    this.#updateWork(chapter);
    parts.reason.hidden = job?.state !== "failed";
    setText(parts.reason, job?.state === "failed" && job.error ? describeError(job.error) : "");
    this.#updateActions(chapter, playing);
  }

  #updateMeta(chapter) {
    const { state, meta, outdated } = this.#parts;
    setAttribute(state, "data-state", stateOf(chapter));
    setText(state, t(`state.${stateOf(chapter)}`));
    const facts = [t("unit.characters", { count: chapter.characters })];
    if (chapter.durationSeconds) facts.push(formatDuration(chapter.durationSeconds));
    setText(meta, facts.join(" · "));
    outdated.hidden = !chapter.outdated;
    setText(outdated, t("chapter.outdated"));
  }

  #updateWork(chapter) {
    const { work, bar, stage, eta, percent } = this.#parts;
    const { job } = chapter;
    work.hidden = job?.state !== "active";
    if (work.hidden) return;
    showProgress(bar, job, titleOf(chapter));
    const retried = job.attempt > 1 ? ` (${t("chapter.attempt", { count: job.attempt })})` : "";
    setText(stage, stageText(job) + retried);
    setText(eta, job.progress?.etaSeconds ? formatEta(job.progress.etaSeconds) : "");
    setText(percent, percentText(job));
  }

  #updateActions(chapter, playing) {
    const { play, playIcon, download, generate, cancel } = this.#parts;
    const running = isRunning(chapter.job);
    const title = titleOf(chapter);
    const hadFocus = document.activeElement === generate || document.activeElement === cancel;
    label(generate, t(verbOf(chapter)), title);
    label(cancel, t("chapter.cancel"), title);
    generate.hidden = running;
    cancel.hidden = !running;
    // What one pressed goes away and its counterpart comes: the focus goes with it.
    if (hadFocus) (running ? cancel : generate).focus({ preventScroll: true });

    play.hidden = download.hidden = !chapter.audioUrl;
    name(play, t(playing ? "chapter.pause" : "chapter.play"), title);
    setAttribute(playIcon, "href", iconHref(playing ? "pause" : "play"));
    setAttribute(play, "aria-pressed", String(playing));
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
    for (const button of [this.#parts.generate, this.#parts.cancel]) button.setAttribute("aria-disabled", String(busy));
  }
}

/** @param {Chapter} chapter @returns {string} never empty */
export const titleOf = (chapter) => chapter.title || t("chapter.number", { number: chapter.number });

/** @param {Chapter} chapter @returns {string} what a download is called */
export const fileName = (chapter) =>
  `${String(chapter.number).padStart(2, "0")} - ${titleOf(chapter).replace(/[\\/:*?"<>|\p{Cc}]/gu, " ")}.mp3`;

function stateOf({ job, audioUrl }) {
  if (isRunning(job) || job?.state === "failed") return job.state;
  if (audioUrl) return "completed";
  return job?.state === "cancelled" ? "cancelled" : "none";
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
