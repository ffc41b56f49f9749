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
    this.#voices = await loadVoices(language);
    this.#render();
  }

  #render() {
    this.#field.hidden = this.#voices.length === 0;
    showVoices(this.#select, this.#voices, this.#chosen, t("project.defaultVoice"));
  }
}

/** @param {string} language @returns {Promise<Voice[]>} none where the server has none to tell of */
export const loadVoices = async (language) => voicesOf(await api.voices().catch(() => null), language);

/**
 * @param {HTMLSelectElement} select
 * @param {Voice[]} voices
 * @param {string} chosen empty: none; one that is not there any more is shown, too
 * @param {string} none what it is called to choose none
 */
export function showVoices(select, voices, chosen, none) {
  const known = voices.some((voice) => voice.id === chosen);
  const stray = chosen && !known ? [{ id: chosen, name: chosen }] : [];
  const shown = [{ id: "", name: none }, ...stray, ...voices];
  select.replaceChildren(...shown.map(({ id, name }) => new Option(name, id, false, id === chosen)));
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
