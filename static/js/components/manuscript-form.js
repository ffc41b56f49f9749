/** The form for a new project: a text that is pasted, or a file that is chosen or dropped anywhere on the page. */

import { describeError, formatSize, onLocaleChange, t } from "../i18n.js";
import { wireDrop } from "./drop.js";
import { setText, showProgress } from "./job-text.js";

const FORMATS = /\.(txt|md|markdown|epub|docx|odt|html?|xhtml|fb2|rtf)$/i;

/**
 * @typedef {object} FormParts
 * @property {HTMLFormElement} form
 * @property {HTMLElement} pasteField
 * @property {HTMLElement} uploadField
 * @property {HTMLElement} fileTitle
 * @property {HTMLElement} error
 * @property {HTMLElement} veil shown while a file is dragged over the page
 * @property {HTMLElement} work how the upload goes: its `bar`, `stage` and `percent`
 * @property {HTMLProgressElement} bar
 * @property {HTMLElement} stage
 * @property {HTMLElement} percent
 * @property {HTMLButtonElement} cancel
 */

/** @typedef {(manuscript: {text: string} | FormData, options: import("../api.js").UploadOptions) => Promise<void>} Create */

export class ManuscriptForm {
  #parts;
  #fields;
  #submit;
  #create;
  /** What ends the upload that is under way. @type {AbortController | null} */
  #sending = null;
  #share = 0;

  /**
   * @param {FormParts} parts
   * @param {Create} create
   */
  constructor(parts, create) {
    this.#parts = parts;
    this.#fields = parts.form.elements;
    this.#submit = parts.form.querySelector("[type=submit]");
    this.#create = create;
    parts.form.addEventListener("change", () => this.render());
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    parts.cancel.addEventListener("click", () => this.#sending?.abort());
    wireDrop(parts.veil, (files) => this.#take(files));
    onLocaleChange(() => this.render());
    this.render();
  }

  get #uploads() {
    return this.#fields.source.value === "upload";
  }

  /** @returns {File | undefined} */
  get #file() {
    return this.#fields.file.files[0];
  }

  render() {
    const { pasteField, uploadField, fileTitle } = this.#parts;
    pasteField.hidden = this.#uploads;
    uploadField.hidden = !this.#uploads;
    fileTitle.textContent = this.#file
      ? t("create.chosen", { name: this.#file.name, size: formatSize(this.#file.size) })
      : t("create.dropTitle");
    setText(this.#submit, t(this.#sending ? "create.busy" : "create.submit"));
    // Not `disabled`, which would drop the focus.
    this.#submit.setAttribute("aria-disabled", String(Boolean(this.#sending)));
    this.#renderUpload();
  }

  #renderUpload() {
    const { work, bar, stage, percent, cancel } = this.#parts;
    work.hidden = cancel.hidden = !this.#sending || !this.#uploads;
    if (work.hidden) return;
    const value = Math.floor(this.#share * 100);
    const name = this.#file.name;
    showProgress(bar, value, t("create.uploading", { name }));
    setText(stage, value < 100 ? t("create.uploading", { name }) : t("create.uploaded"));
    setText(percent, t("unit.percent", { value }));
  }

  #take(files) {
    if (this.#sending) return;
    this.#fields.source.value = "upload";
    const one = files.length === 1;
    if (one) this.#fields.file.files = files;
    this.#fail(one ? "" : t("create.oneAtATime"));
    this.render();
    this.#submit.focus();
  }

  async #send() {
    if (this.#sending) return;
    const problem = this.#problem();
    this.#fail(problem);
    if (problem) return;
    this.#sending = new AbortController();
    this.#share = 0;
    this.render();
    try {
      await this.#create(this.#manuscript(), { onProgress: (share) => this.#advance(share), signal: this.#sending.signal });
    } catch (error) {
      if (error.code !== "cancelled") this.#fail(describeError(error));
    }
    this.#sending = null;
    this.render();
  }

  #advance(share) {
    this.#share = share;
    this.#renderUpload();
  }

  #problem() {
    if (!this.#uploads) return this.#fields.text.value.trim() ? "" : t("create.textMissing");
    if (!this.#file) return t("create.fileMissing");
    return FORMATS.test(this.#file.name) ? "" : t("create.fileFormat");
  }

  #manuscript() {
    const { title, language, text } = this.#fields;
    const optional = Object.entries({ title: title.value.trim(), language: language.value }).filter(
      ([, value]) => value,
    );
    if (!this.#uploads) return { text: text.value, ...Object.fromEntries(optional) };
    const form = new FormData();
    for (const [name, value] of optional) form.set(name, value);
    form.set("file", this.#file);
    return form;
  }

  #fail(message) {
    this.#parts.error.textContent = message;
    this.#parts.error.hidden = !message;
  }
}
