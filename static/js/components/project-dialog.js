/** The dialog in which a project's title and language are changed. */

import { api } from "../api.js";
import { t } from "../i18n.js";
import { partsOf, saving, showError } from "./dialog.js";

export class ProjectDialog {
  #dialog;
  #form;
  #parts;
  #onSaved;
  #project = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {(project: any) => void} onSaved is told the project as it is then
   */
  constructor(dialog, onSaved) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#parts = partsOf(dialog);
    this.#onSaved = onSaved;
    this.#parts.leave.addEventListener("click", () => dialog.close());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  /** @param {{id: string, title: string, language: string}} project */
  open(project) {
    this.#project = project;
    const { title, language } = this.#form.elements;
    title.value = project.title;
    language.value = project.language;
    showError(this.#parts, "");
    this.#dialog.showModal();
    title.select();
  }

  async #save() {
    const title = this.#form.elements.title.value.trim();
    const language = this.#form.elements.language.value;
    if (!title) return showError(this.#parts, t("project.titleMissing"));
    const saved = await saving(this.#parts, async () => {
      this.#onSaved(await api.changeProject(this.#project.id, { title, language }));
    });
    if (saved) this.#dialog.close();
  }
}
