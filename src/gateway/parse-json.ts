import { isLosslessNumber } from 'lossless-json';
import { isNode, type JsonNode, readJson } from './json-node.ts';
import type { ParsedFields, ParseFault } from './parsed-fields.ts';

const fieldsMax = 200;
/** The depth of `data.order.referenceId`, the deepest documented field. */
const depthMax = 3;
/** Checked before the parser runs, since deep nesting exhausts the stack of a recursive parser. */
const bracketsMax = 200;

/** The flat names of a nested message, which has the shape of a reply. */
const flatNames: Readonly<Record<string, string>> = {
  'data.account': 'account',
  'data.terminal': 'terminal',
  'data.signature': 'signature',
  'data.signValue': 'signValue',
  'data.order.referenceId': 'order_reference_id',
  'data.order.currency': 'order_currency',
  'data.order.amount': 'order_amount',
  'data.order.methods': 'order_methods',
  'data.order.remark': 'order_remark',
  'data.merchant.referenceId': 'merchant_reference_id',
  'data.quickPay.id': 'quickpay_id',
  'data.quickPay.status': 'quickpay_status',
  'data.quickpay.id': 'quickpay_id',
  'data.quickpay.status': 'quickpay_status',
  msg: 'message',
};

/** Parses a JSON object, flat or nested. Numbers keep their digits; arrays are no fields. */
export function parseJson(text: string): ParsedFields {
  if ((text.match(/[[{]/g) ?? []).length > bracketsMax) return { ok: false, reason: 'too_deep' };
  const value = readJson(text);
  if (value === undefined) return { ok: false, reason: 'json_invalid' };
  if (!isNode(value)) return { ok: false, reason: 'not_an_object' };
  const found: [string, string][] = [];
  const fault = collectFields(value, '', 1, found);
  if (fault !== undefined) return { ok: false, reason: fault };
  if (found.length > fieldsMax) return { ok: false, reason: 'too_many_fields' };
  return { ok: true, raw: Object.fromEntries(found) };
}

function collectFields(
  node: JsonNode,
  path: string,
  depth: number,
  found: [string, string][],
): ParseFault | undefined {
  if (depth > depthMax) return 'too_deep';
  for (const [key, value] of Object.entries(node)) {
    const itsPath = path === '' ? key : `${path}.${key}`;
    if (isNode(value)) {
      const fault = collectFields(value, itsPath, depth + 1, found);
      if (fault !== undefined) return fault;
      continue;
    }
    const text = textOf(value);
    if (text !== undefined) {
      found.push([
        Object.hasOwn(flatNames, itsPath) ? (flatNames[itsPath] ?? itsPath) : itsPath,
        text,
      ]);
    }
  }
  return undefined;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (isLosslessNumber(value)) return value.toString();
  if (typeof value === 'boolean') return String(value);
  return undefined;
}
