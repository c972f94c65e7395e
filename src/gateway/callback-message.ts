import { Secret } from '../security/secret.ts';
import { parseForm } from './parse-form.ts';
import { parseJson } from './parse-json.ts';
import { parseXml } from './parse-xml.ts';
import type { ParseFault } from './parsed-fields.ts';

/** One inbound message in one shape for all formats. */
export interface CallbackMessage {
  readonly format: 'xml' | 'json' | 'form';
  /** Every field as received, by the redirect's flat name. Signatures are computed over these. */
  readonly raw: Readonly<Record<string, string>>;
  /** The fields that the worker acts on. Empty text and the literal text `null` count as absent. */
  readonly fields: CallbackFields;
}

/** The fields of a message that the worker acts on. */
export interface CallbackFields {
  readonly code: string | undefined;
  readonly account: string | undefined;
  readonly terminal: string | undefined;
  readonly signature: string | undefined;
  readonly orderReferenceId: string | undefined;
  readonly merchantReferenceId: string | undefined;
  readonly quickpayId: Secret | undefined;
  readonly status: string | undefined;
  readonly currency: string | undefined;
  readonly amount: string | undefined;
  readonly noticeType: string | undefined;
}

/** A parsed message, or the reason why it can't be read. */
export type ParseResult =
  | { readonly ok: true; readonly message: CallbackMessage }
  | { readonly ok: false; readonly reason: ParseFault };

/** The largest accepted body, in bytes. */
const callbackBytesMax = 64 * 1_024;

const parsers = { xml: parseXml, json: parseJson, form: parseForm } as const;

/**
 * Parses a redirect or push in any of the three formats that the gateway may use. Never throws: a
 * body that can't be read gives a reason.
 */
export function parseCallback(inbound: {
  readonly contentType: string | undefined;
  readonly body: Uint8Array | string;
}): ParseResult {
  const bytes = typeof inbound.body === 'string' ? Buffer.from(inbound.body) : inbound.body;
  if (bytes.byteLength > callbackBytesMax) return { ok: false, reason: 'too_large' };
  const text = decodeUtf8(bytes);
  if (text === undefined) return { ok: false, reason: 'invalid_utf8' };
  if (text.trim() === '') return { ok: false, reason: 'empty' };
  if (text.includes('\0')) return { ok: false, reason: 'nul_character' };
  const format = formatOf(inbound.contentType, text);
  const parsed = parsers[format](text);
  if (!parsed.ok) return parsed;
  // PostgreSQL stores no NUL, and an escape sequence passes the check of the body above.
  if (Object.values(parsed.raw).some((value) => value.includes('\0'))) {
    return { ok: false, reason: 'nul_character' };
  }
  return { ok: true, message: { format, raw: parsed.raw, fields: fieldsOf(parsed.raw) } };
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * The first character decides before the content type, since a wrong type must not lose a message.
 */
function formatOf(contentType: string | undefined, text: string): CallbackMessage['format'] {
  const first = text.trimStart()[0];
  if (first === '<') return 'xml';
  if (first === '{' || first === '[') return 'json';
  const type = contentType?.toLowerCase() ?? '';
  if (type.includes('json')) return 'json';
  if (type.includes('xml')) return 'xml';
  return 'form';
}

function fieldsOf(raw: Readonly<Record<string, string>>): CallbackFields {
  const read = (name: string): string | undefined => {
    const value = Object.hasOwn(raw, name) ? raw[name] : undefined;
    return value === undefined || value === '' || value === 'null' ? undefined : value;
  };
  const quickpayId = read('quickpay_id');
  return {
    code: read('code'),
    account: read('account'),
    terminal: read('terminal'),
    signature: read('signature') ?? read('signValue'),
    orderReferenceId: read('order_reference_id'),
    merchantReferenceId: read('merchant_reference_id'),
    quickpayId: quickpayId === undefined ? undefined : new Secret(quickpayId),
    status: read('quickpay_status'),
    currency: read('order_currency'),
    amount: read('order_amount'),
    noticeType: read('notice_type'),
  };
}
