import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  // Values stay text: references exceed a number's digits, and signatures need the exact value.
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // Decodes `&#039;` too, because the gateway signs the decoded character.
  htmlEntities: true,
});

/**
 * Parses a flat `<response>` document. A document type or an entity definition is refused before
 * the parser runs: no message needs one, and attacks on XML parsers use them.
 */
export function parseXml(text: string, duplicates: 'last' | 'first' = 'last'): ParsedFields {
  if (/<!\s*(?:DOCTYPE|ENTITY)/i.test(text)) return { ok: false, reason: 'doctype_forbidden' };
  if ((text.match(/</g) ?? []).length > 4 * fieldsMax) {
    return { ok: false, reason: 'too_many_fields' };
  }
  let document: unknown;
  try {
    if (XMLValidator.validate(text.trim()) !== true) return { ok: false, reason: 'xml_invalid' };
    document = parser.parse(text.trim());
  } catch {
    return { ok: false, reason: 'xml_invalid' };
  }
  const root = isElement(document) ? Object.values(document).find(isElement) : undefined;
  if (root === undefined) return { ok: false, reason: 'not_an_object' };
  const found: [string, string][] = [];
  for (const [name, value] of Object.entries(root)) {
    // The parser makes a list of a repeated name.
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    const counting = list.at(duplicates === 'last' ? -1 : 0);
    if (isElement(counting)) return { ok: false, reason: 'too_deep' };
    if (typeof counting === 'string' && name !== '#text') found.push([name, counting]);
  }
  if (found.length > fieldsMax) return { ok: false, reason: 'too_many_fields' };
  return { ok: true, raw: Object.fromEntries(found) };
}

function isElement(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
