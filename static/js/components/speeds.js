/** The choice of how fast it is read. */

const SPEEDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.75, 2];

/**
 * @param {HTMLSelectElement} select
 * @param {number | null} chosen null: none
 * @param {string} [none] what it is called to choose none; without it one must be chosen
 */
export function showSpeeds(select, chosen, none) {
  const known = chosen === null || SPEEDS.includes(chosen) ? SPEEDS : [...SPEEDS, chosen].sort((a, b) => a - b);
  const options = known.map((speed) => new Option(`${speed} ×`, String(speed), false, speed === chosen));
  if (none !== undefined) options.unshift(new Option(none, "", false, chosen === null));
  select.replaceChildren(...options);
}

/** @param {HTMLSelectElement} select @returns {number | null} */
export const speedOf = (select) => (select.value ? Number(select.value) : null);
