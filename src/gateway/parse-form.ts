import type { ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

/**
 * Parses a form or a query string. The vendor's sample repeats names (`card_number`,
 * `order_amount`). The last value counts, as in PHP, which the vendor's documentation uses.
 */
export function parseForm(text: string): ParsedFields {
  const pairs = [...new URLSearchParams(text.trim())];
  if (pairs.length > fieldsMax) return { ok: false, reason: 'too_many_fields' };
  if (pairs.every(([, value]) => value === '')) return { ok: false, reason: 'not_an_object' };
  return { ok: true, raw: Object.fromEntries(pairs) };
}
