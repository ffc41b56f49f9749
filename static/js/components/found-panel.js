/** What became of a manuscript's characters: how many are read aloud, and why the others are not. */

import { formatNumber, onLocaleChange, t } from "../i18n.js";
import { setHidden, setText } from "./job-text.js";

export class FoundPanel {
  #parts;
  #shown = "";

  /** @param {Record<"root" | "title" | "list", any>} parts */
  constructor(parts) {
    this.#parts = parts;
    onLocaleChange(() => (this.#shown = ""));
  }

  /** @param {{charactersIn: number, charactersSpoken: number, leftOut: {reason: string, characters: number}[]}} project */
  update({ charactersIn, charactersSpoken, leftOut }) {
    const { root, title, list } = this.#parts;
    setHidden(root, !charactersIn);
    const shown = JSON.stringify([charactersIn, charactersSpoken, leftOut]);
    if (!charactersIn || shown === this.#shown) return;
    this.#shown = shown;
    const values = { spoken: formatNumber(charactersSpoken), all: formatNumber(charactersIn) };
    setText(title, t(leftOut.length ? "found.some" : "found.all", values));
    const most = [...leftOut].sort((left, right) => right.characters - left.characters);
    list.replaceChildren(...(most.length ? most.map(rowOf) : [lineOf(t("found.nothing"))]));
  }
}

function rowOf({ reason, characters }) {
  const row = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = t(`found.${reason}`);
  const count = document.createElement("span");
  count.className = "found-count";
  count.textContent = t("unit.characters", { count: characters });
  row.append(name, count);
  return row;
}

function lineOf(text) {
  const line = document.createElement("li");
  line.textContent = text;
  return line;
}
