import type { ParsedFields } from './parsed-fields.ts';

const fieldsMax = 200;

/**
 * Reads a form or a query string. Names come twice in the vendor's own sample (`card_number`, `order_amount`): the last one counts,
 * as in PHP, which the gateway's documentation is written for.
 */
export function parseForm(text: string): ParsedFields {
  const pairs = [...new URLSearchParams(text.trim())];
  if (pairs.length > fieldsMax) return { ok: false, reason: 'too_many_fields' };
  if (pairs.every(([, value]) => value === '')) return { ok: false, reason: 'not_an_object' };
  return { ok: true, raw: Object.fromEntries(pairs) };
}
