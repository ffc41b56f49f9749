/** Event ids and cursors: `<epoch>-<seq>`, two whole numbers, ordered by the first and then the second. */

const FORM = /^(\d{1,15})-(\d{1,15})$/;

/**
 * @param {string | null | undefined} text
 * @returns {[number, number] | null} null where it is no cursor
 */
export function parseCursor(text) {
  const match = FORM.exec(text ?? "");
  return match ? [Number(match[1]), Number(match[2])] : null;
}

/**
 * Whether `id` comes after `other`. Anything comes after a missing cursor, and nothing that is no cursor comes after one.
 *
 * @param {string | null | undefined} id
 * @param {string | null | undefined} other
 * @returns {boolean}
 */
export function isNewer(id, other) {
  const left = parseCursor(id);
  const right = parseCursor(other);
  if (!left || !right) return left !== null;
  return left[0] === right[0] ? left[1] > right[1] : left[0] > right[0];
}
