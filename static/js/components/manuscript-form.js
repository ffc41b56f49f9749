/** The form for a new project: a text that is pasted, or a file that is chosen or dropped anywhere on the page. */

import { describeError, formatSize, onLocaleChange, t } from "../i18n.js";

const FORMATS = /\.(txt|md|markdown|epub|docx|odt|html?|xhtml|fb2|rtf)$/i;

/**
 * @typedef {object} FormParts
 * @property {HTMLFormElement} form
 * @property {HTMLElement} pasteField
 * @property {HTMLElement} uploadField
 * @property {HTMLElement} fileTitle
 * @property {HTMLElement} error
 * @property {HTMLElement} veil shown while a file is dragged over the page
 */

export class ManuscriptForm {
  #parts;
  #fields;
  #submit;
  #create;
  #busy = false;
  #dragDepth = 0;

  /**
   * @param {FormParts} parts
   * @param {(manuscript: {text: string} | FormData) => Promise<void>} create
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
    this.#wireDrop();
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
    this.#submit.textContent = t(this.#busy ? "create.busy" : "create.submit");
    this.#submit.disabled = this.#busy;
  }

  #wireDrop() {
    const files = (event) => event.dataTransfer?.types.includes("Files");
    const track = (step) => (event) => {
      if (!files(event)) return;
      this.#dragDepth = step === 0 ? 0 : this.#dragDepth + step;
      this.#parts.veil.hidden = this.#dragDepth <= 0;
    };
    addEventListener("dragenter", track(1));
    addEventListener("dragleave", track(-1));
    addEventListener("drop", track(0));
    addEventListener("dragover", (event) => files(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      this.#take(event.dataTransfer.files);
    });
  }

  #take(files) {
    this.#fields.file.files = files;
    this.#fields.source.value = "upload";
    this.#fail("");
    this.render();
    this.#submit.focus();
  }

  async #send() {
    const problem = this.#problem();
    this.#fail(problem);
    if (problem || this.#busy) return;
    this.#busy = true;
    this.render();
    try {
      await this.#create(this.#manuscript());
    } catch (error) {
      this.#fail(describeError(error));
    }
    this.#busy = false;
    this.render();
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
