/** The dialog in which a chapter's title and text are changed, and how it is read; it does not let go of changes unasked. */

import { api } from "../api.js";
import { onLocaleChange, t } from "../i18n.js";
import { partsOf, saving, showError } from "./dialog.js";
import { setText } from "./job-text.js";
import { ReportView } from "./report-view.js";
import { showSpeeds, speedOf } from "./speeds.js";
import { loadVoices, showVoices } from "./voice-select.js";

export class ChapterEditor {
  #dialog;
  #form;
  #parts;
  #on;
  #report;
  /**
   * As the server has it.
   *
   * @type {{projectId: string, id: string, title: string, text: string, voice: string | null, speed: number | null,
   *   audioUrl: string | null} | null}
   */
  #chapter = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {object} on
   * @param {(chapter: any, changes: {title?: string, text?: string}) => void} on.onSaved is told the chapter as it is then
   * @param {() => void} on.onRearranged is told when chapters were split or merged
   * @param {(job: object) => void} on.onRedo is told of the job that says some of it anew
   */
  constructor(dialog, on) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#parts = partsOf(dialog);
    this.#on = on;
    this.#report = new ReportView(this.#parts, (job) => {
      on.onRedo(job);
      this.#leave();
    });
    this.#wire();
    onLocaleChange(() => {
      this.#renderCount();
      this.#report.render();
    });
  }

  /**
   * @param {string} projectId
   * @param {string} id the chapter's
   * @param {string} language the project's
   * @throws {import("../api.js").ApiError} where its text is not to be had
   */
  async open(projectId, id, language) {
    const { title, text, voice, speed, audioUrl, position } = await api.chapter(projectId, id);
    this.#chapter = { projectId, id, title, text, voice, speed, audioUrl };
    this.#parts.merge.hidden = position === 1;
    showSpeeds(this.#form.elements.speed, speed, t("editor.asProject"));
    this.#showVoices(language);
    this.#report.show(this.#chapter);
    this.#form.elements.title.value = title;
    this.#form.elements.text.value = text;
    showError(this.#parts, "");
    this.#askToLeave(false);
    this.#renderCount();
    this.#dialog.showModal();
    this.#form.elements.text.setSelectionRange(0, 0);
  }

  async #showVoices(language) {
    const select = this.#form.elements.voice;
    showVoices(select, [], this.#chapter.voice ?? "", t("editor.asProject"));
    const voices = await loadVoices(language);
    showVoices(select, voices, select.value, t("editor.asProject"));
  }

  #wire() {
    const { leave, discard, keep, merge, split } = this.#parts;
    merge.addEventListener("click", () => this.#rearrange((projectId, id) => api.mergeChapter(projectId, id)));
    split.addEventListener("click", () => this.#split());
    leave.addEventListener("click", () => this.#leave());
    discard.addEventListener("click", () => this.#dialog.close());
    keep.addEventListener("click", () => this.#askToLeave(false));
    this.#form.addEventListener("input", () => this.#renderCount());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    // By the key and not by `cancel`, which a browser may make final the second time.
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#leave();
    });
    this.#dialog.addEventListener("cancel", (event) => this.#changed && event.preventDefault());
    addEventListener("beforeunload", (event) => this.#dialog.open && this.#changed && event.preventDefault());
  }

  /** What differs from what the server has; null where nothing does. */
  get #changes() {
    const { title, text, voice, speed } = this.#form.elements;
    const changes = {};
    if ((voice.value || null) !== this.#chapter.voice) changes.voice = voice.value || null;
    if (speedOf(speed) !== this.#chapter.speed) changes.speed = speedOf(speed);
    if (title.value.trim() !== this.#chapter.title) changes.title = title.value.trim();
    if (text.value !== unified(this.#chapter.text)) changes.text = text.value;
    return Object.keys(changes).length ? changes : null;
  }

  get #changed() {
    return this.#changes !== null;
  }

  #leave() {
    if (!this.#changed) this.#dialog.close();
    else this.#askToLeave(this.#parts.unsaved.hidden);
  }

  #askToLeave(asking) {
    const { usual, unsaved, rearrange, keep } = this.#parts;
    usual.hidden = asking;
    rearrange.hidden = asking;
    unsaved.hidden = !asking;
    if (asking) keep.focus();
    else if (this.#dialog.open) this.#form.elements.text.focus();
  }

  async #save() {
    if (this.#missing()) return;
    if (await saving(this.#parts, () => this.#send())) this.#dialog.close();
  }

  /** Whether something is missing, which the reader is told then. */
  #missing() {
    const changes = this.#changes;
    if (changes?.title === "") showError(this.#parts, t("project.titleMissing"));
    else if (changes?.text?.trim() === "") showError(this.#parts, t("editor.textMissing"));
    else return false;
    return true;
  }

  async #send() {
    const changes = this.#changes;
    const { projectId, id } = this.#chapter;
    if (changes) this.#on.onSaved(await api.changeChapter(projectId, id, changes), changes);
  }

  /** The line with the cursor begins a new chapter. */
  #split() {
    const { value, selectionStart } = this.#form.elements.text;
    const before = value.slice(0, value.lastIndexOf("\n", selectionStart - 1) + 1);
    if (!before.trim()) return showError(this.#parts, t("editor.splitWhere"));
    const offset = [...before].length;
    this.#rearrange((projectId, id) => api.splitChapter(projectId, id, offset));
  }

  /** What was changed is saved first: it is that text which is split or merged. */
  async #rearrange(action) {
    if (this.#missing()) return;
    const { projectId, id } = this.#chapter;
    const done = await saving(this.#parts, async () => {
      await this.#send();
      await action(projectId, id);
    });
    if (!done) return;
    this.#dialog.close();
    this.#on.onRearranged();
  }

  #renderCount() {
    setText(this.#parts.count, t("unit.characters", { count: [...this.#form.elements.text.value].length }));
  }
}

/** As a textarea gives text back: its lines end with one character. */
const unified = (text) => text.replace(/\r\n?/g, "\n");
