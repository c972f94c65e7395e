import { parse } from 'node:querystring';
import { decodeFirstFitting } from './decode-text.ts';
import { fieldsByName, type ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

/**
 * Parses a form or a query string. The vendor's sample repeats names (`card_number`,
 * `order_amount`). By default the last value counts, as in PHP, which the vendor's
 * documentation uses.
 */
export function parseForm(
  bytes: Buffer,
  rules: {
    /** The charset of its percent-encoded bytes, if the content type names one. */
    readonly charset?: string | undefined;
    readonly duplicates: 'last' | 'first';
  },
): ParsedFields {
  const text = bytes.toString('latin1').trim().replace(/^\?/, '');
  if (text.split('&', fieldsMax + 1).length > fieldsMax) {
    return { ok: false, reason: 'too_many_fields' };
  }
  const values = parse(text, '&', '=', {
    maxKeys: 0,
    decodeURIComponent: (escaped) => decodeFirstFitting(bytesOf(escaped), [rules.charset]),
  });
  const pairs = Object.entries(values).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, one ?? '']),
  );
  if (pairs.every(([, value]) => value === '')) return { ok: false, reason: 'not_an_object' };
  return { ok: true, raw: fieldsByName(pairs, rules.duplicates) };
}

/** The bytes that a percent-encoded text stands for. */
function bytesOf(escaped: string): Buffer {
  const latin1 = escaped.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, 'latin1');
}
