/** Speaks through the page's polite live region, a sentence at a time, and sums up when much happens at once. */

const PAUSE_MS = 1500;
const MOST_AT_ONCE = 3;

export class Announcer {
  #region;
  #summary;
  /** @type {Map<string, string>} */
  #pending = new Map();
  #timer = 0;

  /**
   * @param {HTMLElement} region
   * @param {(count: number) => string} summary what is said of so many things, where their sentences are too many to follow
   */
  constructor(region, summary) {
    this.#region = region;
    this.#summary = summary;
  }

  /**
   * @param {string} about what the sentence is of: a later one about the same thing takes its place
   * @param {string} sentence
   */
  say(about, sentence) {
    this.#pending.set(about, sentence);
    this.#timer ||= setTimeout(() => this.#speak(), PAUSE_MS);
  }

  #speak() {
    const sentences = [...this.#pending.values()];
    this.#pending.clear();
    this.#timer = 0;
    const many = sentences.length > MOST_AT_ONCE;
    this.#region.textContent = many ? this.#summary(sentences.length) : sentences.join(" ");
  }
}
