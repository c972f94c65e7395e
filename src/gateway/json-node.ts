import { isLosslessNumber, parse } from 'lossless-json';

/** A JSON object of unknown content. */
export type JsonNode = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object; arrays and numbers are not. */
export function isNode(value: unknown): value is JsonNode {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value)
  );
}

/**
 * The value of a JSON text; undefined if it is none. Numbers keep all digits, because a double
 * can't hold identifiers of 19 digits. Some senders encode an object twice, so that the whole text
 * or its `data` is a text with JSON in it: such an object or list is read in place of the text.
 */
export function readJson(text: string): unknown {
  const value = unwrap(parseOrUndefined(text));
  if (!isNode(value) || !Object.hasOwn(value, 'data')) return value;
  return { ...value, data: unwrap(value['data']) };
}

function unwrap(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const inner = parseOrUndefined(value);
  return isNode(inner) || Array.isArray(inner) ? inner : value;
}

function parseOrUndefined(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** The value at a dotted path, through own properties only. */
function valueAt(node: JsonNode, path: string): unknown {
  let value: unknown = node;
  for (const key of path.split('.')) {
    if (!isNode(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}

/** The first text or number at one of the paths, as text. Empty text counts as absent. */
export function textAt(node: JsonNode, ...paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const value = valueAt(node, path);
    if (typeof value === 'string' && value !== '') return value;
    if (isLosslessNumber(value)) return value.toString();
  }
  return undefined;
}

/** Whether a value has one of the documented forms of an empty result. */
export function isEmptyValue(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isNode(value) && Object.keys(value).length === 0;
}

/** Whether a value is a number, or a text that is not an object or a list encoded once more. */
export function isPlainText(value: unknown): boolean {
  return isLosslessNumber(value) || (typeof value === 'string' && unwrap(value) === value);
}

/**
 * The object, or the objects of an array, at a path. An empty list for the documented forms of an
 * empty result: absent, `null`, `""`, `[]` and `{}`. Undefined for anything else, which the worker
 * cannot read.
 */
export function nodesAt(node: JsonNode, path: string): readonly JsonNode[] | undefined {
  const value = valueAt(node, path);
  if (isEmptyValue(value)) return [];
  if (isNode(value)) return [value];
  if (!Array.isArray(value)) return undefined;
  const nodes = value.filter(isNode).filter((entry) => !isEmptyValue(entry));
  return nodes.length === value.length ? nodes : undefined;
}
