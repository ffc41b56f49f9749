/** What the report on a chapter's audio finds suspicious, and the button that has it said anew. */

import { api } from "../api.js";
import { describeError, formatDuration, t } from "../i18n.js";
import { setText } from "./job-text.js";

export class ReportView {
  #parts;
  #onRedo;
  #chapter = null;
  #report = null;

  /**
   * @param {{report: HTMLElement, found: HTMLElement, suspects: HTMLElement, redo: HTMLButtonElement}} parts
   * @param {(job: object) => void} onRedo is told the job that says some of it anew
   */
  constructor(parts, onRedo) {
    this.#parts = parts;
    this.#onRedo = onRedo;
    parts.redo.addEventListener("click", () => this.#redo());
    parts.suspects.addEventListener("change", () => this.#renderButton());
  }

  /** @param {{projectId: string, id: string, audioUrl: string | null}} chapter */
  async show(chapter) {
    this.#chapter = chapter;
    this.#report = null;
    this.render();
    if (!chapter.audioUrl) return;
    const report = await api.report(chapter.projectId, chapter.id).catch(() => null);
    if (this.#chapter !== chapter) return;
    this.#report = report;
    this.render();
  }

  render() {
    const { report, found, suspects } = this.#parts;
    report.hidden = !this.#report;
    if (!this.#report) return suspects.replaceChildren();
    const { segments, suspicious } = this.#report;
    const count = segments.length;
    setText(found, suspicious.length ? t("report.found", { count: suspicious.length }) : t("report.none", { count }));
    suspects.replaceChildren(...suspicious.map((index) => row(segments[index])));
    this.#renderButton();
  }

  #renderButton() {
    const { redo } = this.#parts;
    redo.hidden = !this.#report?.suspicious.length;
    redo.setAttribute("aria-disabled", String(this.#checked.length === 0));
  }

  get #checked() {
    return [...this.#parts.suspects.querySelectorAll(":checked")].map((box) => Number(box.value));
  }

  async #redo() {
    const { projectId, id } = this.#chapter;
    const indexes = this.#checked;
    if (!indexes.length) return;
    try {
      this.#onRedo(await api.redo(projectId, id, indexes));
    } catch (error) {
      setText(this.#parts.found, describeError(error));
    }
  }
}

/** A segment that is suspicious: why, how long it is, and its text. */
function row({ index, text, seconds, flags }) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", value: String(index), checked: true });
  const why = document.createElement("strong");
  why.textContent = flags.map((flag) => t(`report.${flag}`)).join(", ");
  const said = document.createElement("span");
  said.textContent = ` · ${formatDuration(seconds)} · ${text}`;
  label.append(box, why, said);
  item.append(label);
  return item;
}
