/** The choice of a voice; it stays hidden where the server has no voices to tell of. */

import { api } from "../api.js";
import { onLocaleChange, t } from "../i18n.js";

/** @typedef {{id: string, name: string}} Voice */

/** The language of voices that read any, in BCP 47. */
const ANY_LANGUAGE = "mul";

export class VoiceSelect {
  #field;
  #select;
  /** @type {Voice[]} */
  #voices = [];
  #chosen = "";

  /**
   * @param {HTMLElement} field
   * @param {HTMLSelectElement} select
   * @param {(voice: string | null) => Promise<boolean>} choose whether it was accepted
   */
  constructor(field, select, choose) {
    this.#field = field;
    this.#select = select;
    select.addEventListener("change", async () => {
      const wanted = select.value;
      if (await choose(wanted || null)) this.#chosen = wanted;
      this.#render();
    });
    onLocaleChange(() => this.#render());
  }

  /** @param {{language: string, voice: string | null}} project */
  async load({ language, voice }) {
    this.#chosen = voice ?? "";
    const answer = await api.voices().catch(() => null);
    this.#voices = voicesOf(answer, language);
    this.#render();
  }

  #render() {
    this.#field.hidden = this.#voices.length === 0;
    const known = this.#voices.some((voice) => voice.id === this.#chosen);
    const stray = this.#chosen && !known ? [{ id: this.#chosen, name: this.#chosen }] : [];
    const shown = [{ id: "", name: t("project.defaultVoice") }, ...stray, ...this.#voices];
    this.#select.replaceChildren(...shown.map(({ id, name }) => new Option(name, id, false, id === this.#chosen)));
  }
}

/**
 * The voices for a language, whatever the region, and those for any: the server tells them by language.
 *
 * @param {{voices: Record<string, Voice[]>} | null} answer
 * @param {string} language
 * @returns {Voice[]}
 */
function voicesOf(answer, language) {
  const primary = (tag) => tag.toLowerCase().split("-")[0];
  return Object.entries(answer?.voices ?? {})
    .filter(([tag]) => [primary(language), ANY_LANGUAGE].includes(primary(tag)))
    .flatMap(([, voices]) => voices);
}
