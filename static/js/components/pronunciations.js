/** The pronunciation dictionary as people write it: a line for each term, `term = respelling`. */

/** @typedef {{term: string, respelling: string, matchCase: boolean}} Pronunciation */

const LINE = /^(.+?)\s*(==?)\s*(.+)$/;

/**
 * @param {Pronunciation[]} pronunciations
 * @returns {string} `==` stands where capitals matter
 */
export const written = (pronunciations) =>
  pronunciations.map(({ term, respelling, matchCase }) => `${term} ${matchCase ? "==" : "="} ${respelling}`).join("\n");

/**
 * @param {string} text
 * @returns {{pronunciations: Pronunciation[], wrong: number}} `wrong` is the number of the first line that is none; else 0
 */
export function read(text) {
  const pronunciations = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (!line.trim()) continue;
    const found = LINE.exec(line.trim());
    if (!found) return { pronunciations: [], wrong: index + 1 };
    pronunciations.push({ term: found[1], respelling: found[3], matchCase: found[2] === "==" });
  }
  return { pronunciations, wrong: 0 };
}
