/** The dialog in which a project's title and language are changed, and how it is read. */

import { api } from "../api.js";
import { t } from "../i18n.js";
import { partsOf, saving, showError } from "./dialog.js";
import { read, written } from "./pronunciations.js";
import { showSpeeds, speedOf } from "./speeds.js";
import { loadVoices, showVoices } from "./voice-select.js";

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

  /**
   * @param {{id: string, title: string, language: string, speed: number, dialogueVoice: string | null,
   *   pronunciations: import("./pronunciations.js").Pronunciation[]}} project
   */
  open(project) {
    this.#project = project;
    const { title, language } = this.#form.elements;
    title.value = project.title;
    language.value = project.language;
    showSpeeds(this.#form.elements.speed, project.speed);
    this.#form.elements.pronunciations.value = written(project.pronunciations);
    this.#showVoices();
    showError(this.#parts, "");
    this.#dialog.showModal();
    title.select();
  }

  async #showVoices() {
    const { dialogueVoice, language } = this.#project;
    const select = this.#form.elements.dialogueVoice;
    showVoices(select, [], dialogueVoice ?? "", t("project.noDialogueVoice"));
    const voices = await loadVoices(language);
    showVoices(select, voices, select.value, t("project.noDialogueVoice"));
  }

  async #save() {
    const title = this.#form.elements.title.value.trim();
    const language = this.#form.elements.language.value;
    if (!title) return showError(this.#parts, t("project.titleMissing"));
    const { pronunciations, wrong } = read(this.#form.elements.pronunciations.value);
    if (wrong) return showError(this.#parts, t("project.pronunciationWrong", { line: wrong }));
    const dialogueVoice = this.#form.elements.dialogueVoice.value || null;
    const changes = { title, language, dialogueVoice, speed: speedOf(this.#form.elements.speed), pronunciations };
    const saved = await saving(this.#parts, async () => {
      this.#onSaved(await api.changeProject(this.#project.id, changes));
    });
    if (saved) this.#dialog.close();
  }
}
