/** An OpenAPI document as a page wants it: operations by tag, found by words, and schemas put into words. */

const METHODS = ["get", "post", "put", "patch", "delete"];
const BOUNDS = ["pattern", "format", "contentMediaType", "minimum", "maximum", "minLength", "maxLength"];
const REF = "#/components/schemas/";

/**
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method in small letters
 * @property {string} path
 * @property {any} said the Operation Object itself
 */

export class Description {
  #document;

  /** @param {any} document OpenAPI 3.1 */
  constructor(document) {
    this.#document = document;
  }

  /** @returns {string[]} the paragraphs of what it says of itself */
  get intro() {
    return this.#document.info.description.split("\n\n");
  }

  /** @returns {{name: string, description: string, operations: Operation[]}[]} */
  get groups() {
    const all = this.#operations();
    return this.#document.tags.map((tag) => ({
      ...tag,
      operations: all.filter((operation) => operation.said.tags.includes(tag.name)),
    }));
  }

  /** @returns {[string, any][]} name and schema of each component */
  get schemas() {
    return Object.entries(this.#document.components.schemas);
  }

  #operations() {
    return Object.entries(this.#document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => method in item).map((method) => ({
        id: item[method].operationId,
        method,
        path,
        said: item[method],
      })),
    );
  }
}

/**
 * @param {string} query words of which each must be there
 * @param {any} values what to look in
 * @returns {boolean}
 */
export function matches(query, values) {
  const text = JSON.stringify(values).toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/**
 * @param {any} schema
 * @returns {string | null} the component that it refers to
 */
export const referred = (schema) => (schema.$ref?.startsWith(REF) ? schema.$ref.slice(REF.length) : null);

/**
 * A schema's type in a few words, with a part for each component that is named, so that it can be a link.
 *
 * @param {any} schema
 * @returns {({text: string} | {ref: string})[]}
 */
export function typeOf(schema) {
  const ref = referred(schema);
  if (ref) return [{ ref }];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return joined(choices.map(typeOf), " | ");
  if (schema.allOf) return joined(schema.allOf.map(typeOf), " & ");
  if ("const" in schema) return [{ text: JSON.stringify(schema.const) }];
  if (schema.enum) return [{ text: schema.enum.map((value) => JSON.stringify(value)).join(" | ") }];
  if (schema.type === "array") return [...typeOf(schema.items), { text: "[]" }];
  if (schema.contentSchema) return [{ text: "JSON: " }, ...typeOf(schema.contentSchema)];
  if (typeof schema.additionalProperties === "object") {
    return [{ text: "{[name]: " }, ...typeOf(schema.additionalProperties), { text: "}" }];
  }
  return [{ text: schema.type ?? "any" }];
}

const joined = (lists, between) => lists.flatMap((list, index) => (index ? [{ text: between }, ...list] : list));

/**
 * @param {any} schema
 * @returns {string[]} what its values are bound to
 */
export function boundsOf(schema) {
  const own = BOUNDS.filter((name) => name in schema).map((name) => `${name}: ${schema[name]}`);
  const inner = [...(schema.anyOf ?? []), ...(schema.type === "array" ? [schema.items] : [])];
  return [...own, ...inner.flatMap(boundsOf)];
}

/**
 * @param {any} schema
 * @returns {{name: string, schema: any, required: boolean}[]} the properties of an object
 */
export function propertiesOf(schema) {
  const required = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    schema: property,
    required: required.includes(name),
  }));
}
