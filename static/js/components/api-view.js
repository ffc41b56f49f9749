/** Operations and schemas of the HTTP interface, as elements that open. */

import { t } from "../i18n.js";
import { boundsOf, propertiesOf, referred, typeOf } from "../openapi.js";

/**
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/**
 * @param {string} text in which what stands between backticks is code
 * @returns {HTMLElement}
 */
export function paragraph(text) {
  return element("p", {}, ...worded(text));
}

const worded = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));

/**
 * @param {import("../openapi.js").Operation} operation
 * @returns {HTMLElement}
 */
export function operationView({ id, method, path, said }) {
  const summary = element(
    "summary",
    {},
    element("span", { class: "docs-method", "data-method": method }, method.toUpperCase()),
    element("code", {}, path),
    element("span", {}, said.summary),
  );
  const body = element("div", { class: "docs-body" });
  if (said.description) body.append(paragraph(said.description));
  body.append(element("p", { class: "quiet" }, security(said.security)));
  body.append(...titled(t("docs.parameters"), (said.parameters ?? []).map(parameterRow)));
  body.append(...titled(t("docs.body"), contentRows(said.requestBody?.content)));
  body.append(...titled(t("docs.answers"), Object.entries(said.responses).map(answerRow)));
  return element("details", { class: "docs-entry", id }, summary, body);
}

/**
 * @param {string} name
 * @param {any} schema
 * @returns {HTMLElement}
 */
export function schemaView(name, schema) {
  const summary = element("summary", {}, element("code", {}, name), element("span", {}, ...worded(schema.description ?? "")));
  const body = element("div", { class: "docs-body" }, ...shape(schema));
  return element("details", { class: "docs-entry", id: `schema-${name}` }, summary, body);
}

function security(ways) {
  const names = ways.flatMap((way) => Object.keys(way));
  return names.length ? t("docs.credential", { ways: names.join(", ") }) : t("docs.open");
}

function titled(title, rows) {
  return rows.length ? [element("h3", {}, title), element("dl", { class: "docs-rows" }, ...rows)] : [];
}

function row(term, ...facts) {
  return element("div", {}, element("dt", {}, ...term), element("dd", {}, ...facts));
}

function named(name, required) {
  const flag = element("span", { class: "docs-flag" }, t("docs.required"));
  return required ? [element("code", {}, name), " ", flag] : [element("code", {}, name)];
}

function parameterRow(parameter) {
  const where = element("span", { class: "quiet" }, parameter.in);
  const facts = [paragraph(parameter.description), typeLine(parameter.schema), ...bounds(parameter.schema)];
  return row([...named(parameter.name, parameter.required), " ", where], ...facts);
}

function contentRows(content) {
  return Object.entries(content ?? {}).map(([type, { schema }]) => row([element("code", {}, type)], ...shape(schema)));
}

function answerRow([status, answer]) {
  const headers = Object.entries(answer.headers ?? {}).map(([name, header]) =>
    row(named(name, header.required), paragraph(header.description ?? ""), ...bounds(header.schema)),
  );
  const facts = [paragraph(answer.description)];
  if (headers.length) facts.push(element("dl", { class: "docs-rows" }, ...headers));
  for (const [type, { schema }] of Object.entries(answer.content ?? {})) {
    // Which codes a problem may have, its description says.
    const told = type === "application/problem+json" ? { $ref: "#/components/schemas/Problem" } : schema;
    facts.push(element("p", {}, element("code", {}, type), " ", ...typeParts(told)));
  }
  return row([status], ...facts);
}

function shape(schema) {
  if (referred(schema)) return [typeLine(schema)];
  const choices = (schema.oneOf ?? []).map((choice) => row([choiceName(choice)], ...shape(choice)));
  const rows = propertiesOf(schema).map(propertyRow);
  const list = [...choices, ...rows];
  return list.length ? [element("dl", { class: "docs-rows" }, ...list)] : [typeLine(schema), ...bounds(schema)];
}

function choiceName({ properties = {} }) {
  const constant = Object.values(properties).find((property) => "const" in property);
  return constant ? element("code", {}, String(constant.const)) : "";
}

function propertyRow({ name, schema, required }) {
  const said = schema.description ? [paragraph(schema.description)] : [];
  return row(named(name, required), ...said, typeLine(schema), ...bounds(schema));
}

const typeLine = (schema) => element("p", { class: "docs-type" }, ...typeParts(schema));

function typeParts(schema) {
  return typeOf(schema).map((part) =>
    "ref" in part ? element("a", { href: `#schema-${part.ref}` }, part.ref) : element("code", {}, part.text),
  );
}

function bounds(schema) {
  const found = boundsOf(schema);
  return found.length ? [element("p", { class: "quiet" }, element("code", {}, found.join(" · ")))] : [];
}
