/** The book: one file of all chapters, asked for, watched, downloaded; and which chapters it lacks. */

import { describeError, formatSize, t } from "../i18n.js";
import { etaText, isRunning, percentage, percentText, setHidden, setText, showProgress, stageText } from "./job-text.js";

/**
 * @typedef {object} BookState
 * @property {import("../progress/reducer.js").Job | null} job the latest
 * @property {import("../project-model.js").Book[]} books that are there
 * @property {import("../project-model.js").Chapter[]} lacking chapters without audio
 * @property {number} count of chapters
 * @property {boolean} narrating whether audio is on its way
 * @property {boolean} starting whether it has just been asked for
 */

/** @typedef {Record<"root" | "text" | "format" | "make" | "partly" | "cancel" | "missing" | "missingText" | "whole" | "generate" | "work" | "bar" | "stage" | "percent" | "reason" | "files", any>} BookParts */

const MOST_NAMED = 8;

export class BookPanel {
  #parts;
  #shown = "";

  /** @param {BookParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** The format that is chosen. */
  get format() {
    return this.#parts.format.value;
  }

  /** @param {BookState} state */
  update(state) {
    const { root } = this.#parts;
    setHidden(root, state.count === 0);
    if (root.hidden) return;
    this.#updateHead(state);
    this.#updateButtons(state);
    this.#updateMissing(state);
    this.#updateWork(state);
    this.#updateFiles(state.books);
  }

  #updateHead({ job, lacking, count }) {
    const { text, reason } = this.#parts;
    const failed = job?.state === "failed";
    setText(text, t("book.text", { done: count - lacking.length, count }));
    setHidden(text, failed);
    setHidden(reason, !failed);
    if (failed) setText(reason, job.error ? describeError(job.error) : t("state.failed"));
  }

  /** Where one gives way to another, the focus goes along. */
  #updateButtons({ job, lacking, count, starting }) {
    const { make, partly, cancel, format } = this.#parts;
    const buttons = [make, partly, cancel];
    const focused = buttons.find((button) => button === document.activeElement);
    const running = isRunning(job) || starting;
    format.disabled = running;
    setHidden(cancel, !running);
    const nothing = lacking.length === count;
    make.disabled = nothing;
    setHidden(make, running || (lacking.length > 0 && !nothing));
    setHidden(partly, running || lacking.length === 0 || nothing);
    setText(make, t(job?.state === "failed" ? "chapter.retry" : "book.make"));
    if (focused?.hidden) buttons.find((button) => !button.hidden)?.focus({ preventScroll: true });
  }

  #updateMissing({ job, lacking, narrating }) {
    const { missing, missingText, whole, generate } = this.#parts;
    const running = isRunning(job);
    setHidden(missing, running || lacking.length === 0);
    setHidden(whole, running || lacking.length > 0);
    if (lacking.length === 0) return;
    const named = lacking.slice(0, MOST_NAMED).map(({ number, title }) => t("book.chapter", { number, title }));
    const more = lacking.length > MOST_NAMED ? ` ${t("book.more", { count: lacking.length - MOST_NAMED })}` : "";
    setText(missingText, `${t("book.missing", { count: lacking.length })} ${named.join(t("book.comma"))}${more}`);
    setHidden(generate, narrating);
  }

  #updateWork({ job }) {
    const { root, work, bar, stage, percent } = this.#parts;
    setHidden(work, !isRunning(job));
    root.toggleAttribute("data-running", isRunning(job));
    if (!isRunning(job)) return;
    showProgress(bar, percentage(job), t("book.title"));
    setText(stage, [stageText(job), etaText(job)].filter(Boolean).join(" · "));
    setText(percent, percentText(job));
  }

  /** A link for each book that is there, and what is to be said of it. */
  #updateFiles(books) {
    const described = JSON.stringify([books, t("chapter.download")]);
    if (described === this.#shown) return;
    this.#shown = described;
    this.#parts.files.replaceChildren(...books.map(fileOf));
  }
}

/** @param {import("../project-model.js").Book} book */
function fileOf({ format, downloadUrl, bytes, missing, outdated }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "button";
  link.href = downloadUrl;
  link.setAttribute("download", "");
  link.textContent = t("book.download", { format: t(`book.format.${format}`) });
  const notes = [formatSize(bytes)];
  if (missing?.length) notes.push(t("book.without", { count: missing.length }));
  if (outdated) notes.push(t("book.outdated"));
  const note = document.createElement("span");
  note.className = "meta";
  note.textContent = notes.join(" · ");
  item.append(link, note);
  return item;
}
