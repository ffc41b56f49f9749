/** The page that shows the description of the HTTP interface, and finds things in it. */

import { element, operationView, paragraph, schemaView } from "./components/api-view.js";
import { wireLanguageButton } from "./components/language-button.js";
import { byId } from "./components/parts.js";
import { onLocaleChange, t, translate } from "./i18n.js";
import { Description, matches } from "./openapi.js";

/** @type {{view: HTMLElement, values: any}[]} what can be found */
let entries = [];

translate(document);
wireLanguageButton(byId("language"));
load();

async function load() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
    show(new Description(await response.json()));
  } catch (error) {
    console.error(error);
    byId("load-error").hidden = false;
  }
}

/** @param {Description} description */
function show(description) {
  const draw = () => {
    render(description);
    find();
  };
  draw();
  onLocaleChange(draw);
  byId("query").addEventListener("input", find);
  addEventListener("hashchange", open);
  open();
}

function render(description) {
  entries = [];
  byId("intro").replaceChildren(...description.intro.map(paragraph));
  byId("operations").replaceChildren(...description.groups.map(group));
  byId("schemas").replaceChildren(
    ...description.schemas.map(([name, schema]) => entry(schemaView(name, schema), [name, schema])),
  );
}

function group({ name, description, operations }) {
  const views = operations.map((operation) => entry(operationView(operation), operation));
  return element("section", { class: "docs-group" }, element("h2", {}, name), paragraph(description), ...views);
}

function entry(view, values) {
  entries.push({ view, values });
  return view;
}

/** Hides what does not have all of the words. */
function find() {
  const query = byId("query").value.trim();
  for (const { view, values } of entries) view.hidden = Boolean(query) && !matches(query, values);
  for (const section of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".docs-group"))) {
    section.hidden = !section.querySelector(".docs-entry:not([hidden])");
  }
  const count = entries.filter(({ view }) => !view.hidden).length;
  byId("found").textContent = query ? t("docs.found", { count }) : "";
}

/** Opens what the address names, whatever is being looked for. */
function open() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  byId("query").value = "";
  find();
  named.open = true;
  named.scrollIntoView();
}
