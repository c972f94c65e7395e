import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  // Text stays text: references have more digits than a number holds, and signatures need the exact value.
  parseTagValue: false,
  trimValues: false,
  processEntities: true,
  // Without this the parser leaves `&#039;` as it is, and a signature is computed over the decoded character.
  htmlEntities: true,
});

/**
 * Reads a flat `<response>` document. A document type or an entity definition is refused before any parser sees it: neither
 * belongs in a message, and both are how XML parsers are attacked.
 */
export function parseXml(text: string): ParsedFields {
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
    // A name that comes twice is a list here; as in a form, the last one counts.
    const last: unknown = Array.isArray(value) ? value.at(-1) : value;
    if (isElement(last)) return { ok: false, reason: 'too_deep' };
    if (typeof last === 'string' && name !== '#text') found.push([name, last]);
  }
  if (found.length > fieldsMax) return { ok: false, reason: 'too_many_fields' };
  return { ok: true, raw: Object.fromEntries(found) };
}

function isElement(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
