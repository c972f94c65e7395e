import { isLosslessNumber } from 'lossless-json';

/** A JSON object of unknown content. */
export type JsonNode = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object; arrays and numbers are not. */
export function isNode(value: unknown): value is JsonNode {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value)
  );
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

/**
 * The object, or the objects of an array, at a path. Other values count as none, because the
 * gateway sends `""`, `[]`, `{}` or `null` for an empty result.
 */
export function nodesAt(node: JsonNode, path: string): readonly JsonNode[] {
  const value = valueAt(node, path);
  const candidates: readonly unknown[] = Array.isArray(value) ? value : [value];
  return candidates.filter(isNode).filter((candidate) => Object.keys(candidate).length > 0);
}
