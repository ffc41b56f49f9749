/** All rows of a project: each is painted alone, once a frame, however many events came for it. */

import { isResting } from "./job-text.js";
import { ChapterRow } from "./chapter-row.js";
import { PaintQueue } from "./paint-queue.js";

const REST_TICK_MS = 1000;

export class ChapterList {
  #root;
  #actions;
  #look;
  #isPlaying;
  /** @type {Map<string, ChapterRow>} */
  #rows = new Map();
  /** Chapters that rest before their next attempt: their countdown is painted each second. */
  #resting = new Set();
  #queue = new PaintQueue((ids) => this.#paint(ids));

  /**
   * @param {HTMLElement} root
   * @param {object} options
   * @param {import("./chapter-row.js").RowActions} options.actions
   * @param {(id: string) => import("../project-model.js").Chapter | null} options.look how a chapter is now
   * @param {(id: string) => boolean} options.isPlaying
   */
  constructor(root, { actions, look, isPlaying }) {
    this.#root = root;
    this.#actions = actions;
    this.#look = look;
    this.#isPlaying = isPlaying;
    setInterval(() => this.#resting.forEach((id) => this.mark(id)), REST_TICK_MS);
  }

  /** @param {string} id of a chapter whose row is to be painted with the next frame */
  mark(id) {
    this.#queue.mark(id);
  }

  /** Shows these chapters in this order, all painted at once. @param {string[]} ids */
  show(ids) {
    const known = [...this.#rows.keys()];
    if (ids.length !== known.length || ids.some((id, index) => id !== known[index])) {
      this.#rows = new Map(ids.map((id) => [id, this.#rows.get(id) ?? new ChapterRow(id, this.#actions)]));
      this.#root.replaceChildren(...[...this.#rows.values()].map((row) => row.root));
    }
    this.#paint(ids);
  }

  #paint(ids) {
    for (const id of ids) {
      const chapter = this.#look(id);
      if (!chapter) continue;
      this.#rows.get(id)?.update(chapter, this.#isPlaying(id));
      if (isResting(chapter.job)) this.#resting.add(id);
      else this.#resting.delete(id);
    }
  }
}
