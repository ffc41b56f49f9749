/** A fresh copy of a template in the page, and its parts by their `data-part` names. */

/**
 * @param {string} templateId
 * @returns {{root: HTMLElement, parts: Record<string, any>}}
 */
export function instantiate(templateId) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(templateId));
  const root = /** @type {HTMLElement} */ (template.content.firstElementChild.cloneNode(true));
  const parts = {};
  const found = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-part]"));
  for (const element of found) parts[element.dataset.part] = element;
  return { root, parts };
}

/**
 * @param {string} name a symbol of icons.svg
 * @returns {string} its address, for a `<use>`
 */
export const iconHref = (name) => `/static/icons.svg#${name}`;

/** @param {string} id @returns {any} the element of the page with that id */
export const byId = (id) => document.getElementById(id);

/**
 * @param {string} prefix of ids such as `player-play`, and itself the id of the `root`
 * @param {string[]} names what follows it
 * @returns {any} the elements by those names
 */
export const byIds = (prefix, names) =>
  Object.fromEntries([["root", byId(prefix)], ...names.map((name) => [name, byId(`${prefix}-${name}`)])]);
