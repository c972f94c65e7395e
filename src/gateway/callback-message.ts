import { Secret } from '../security/secret.ts';
import { accountGrammar } from './account-grammar.ts';
import { charsetOf, decodeText } from './decode-text.ts';
import { decompress } from './decompress.ts';
import { parseForm } from './parse-form.ts';
import { parseJson } from './parse-json.ts';
import { isMultipart, parseMultipartForm } from './parse-multipart.ts';
import { parseXml } from './parse-xml.ts';
import type { ParsedFields, ParseFault } from './parsed-fields.ts';

/** One inbound message in one shape for all formats. */
export interface CallbackMessage {
  readonly format: 'xml' | 'json' | 'form' | 'multipart';
  /** Every field as received, by the redirect's flat name. Signatures are computed over these. */
  readonly raw: Readonly<Record<string, string>>;
  /**
   * The fields that the worker acts on, without white space around them. Empty text and the literal
   * text `null` count as absent.
   */
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

/** The largest accepted body in bytes, before and after its content encoding is undone. */
export const callbackBytesMax = 64 * 1_024;

/** Configuration for what the gateway's documentation leaves open about messages. */
export interface MessageRules {
  /** Formats that count; a message in another one can't be read. */
  readonly formats: readonly CallbackMessage['format'][];
  /** The value that counts where a name is repeated. */
  readonly duplicates: 'last' | 'first';
}

const usualRules: MessageRules = {
  formats: ['xml', 'json', 'form', 'multipart'],
  duplicates: 'last',
};

/** A message as HTTP delivers it. */
export interface CallbackEnvelope {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  /** The query string of a POST that has a body too. */
  readonly query?: string | undefined;
  readonly body: Uint8Array | string;
}

/**
 * Parses a redirect or push in any of the formats that the gateway may use. Never throws: a message
 * that can't be read gives a reason.
 *
 * Fields of the query string fill in what the body lacks. If the body can't be read, they count
 * alone, provided that they name an account.
 */
export function parseCallback(
  envelope: CallbackEnvelope,
  rules: MessageRules = usualRules,
): ParseResult {
  const inBody = parseBody(envelope, rules);
  const inQuery = queryFields(envelope.query, rules);
  if (!inBody.ok) {
    return inQuery?.['account'] === undefined ? inBody : messageOf('form', inQuery);
  }
  return messageOf(inBody.format, { ...inQuery, ...inBody.raw });
}

/**
 * A message that names an account and a terminal; any other can't be read. A value that cannot be
 * an account says nothing about whose message it is, so it does not count as another account.
 */
export type ReadMessage =
  | {
      readonly ok: true;
      readonly message: CallbackMessage;
      readonly account: string;
      readonly terminal: string;
    }
  | { readonly ok: false; readonly reason: ParseFault };

/** Parses a message that the worker can act on. Never throws. */
export function readMessage(envelope: CallbackEnvelope, rules?: MessageRules): ReadMessage {
  const parsed = parseCallback(envelope, rules);
  if (!parsed.ok) return parsed;
  const { account, terminal } = parsed.message.fields;
  const isNamed =
    account !== undefined &&
    terminal !== undefined &&
    accountGrammar.account.test(account) &&
    accountGrammar.terminal.test(terminal);
  return isNamed ? { ...parsed, account, terminal } : { ok: false, reason: 'no_account' };
}

type ParsedBody =
  | { readonly ok: true; readonly format: CallbackMessage['format']; readonly raw: RawFields }
  | { readonly ok: false; readonly reason: ParseFault };

type RawFields = CallbackMessage['raw'];

function parseBody(
  { contentType, contentEncoding, body }: CallbackEnvelope,
  { formats, duplicates }: MessageRules,
): ParsedBody {
  const sent = typeof body === 'string' ? Buffer.from(body) : body;
  if (sent.byteLength > callbackBytesMax) return { ok: false, reason: 'too_large' };
  const content = decompress(sent, contentEncoding, callbackBytesMax);
  if (content === undefined) return { ok: false, reason: 'too_large' };
  const { text, bytes } = decodeText(content, [charsetOf(contentType), charsetOfXml(content)]);
  if (text.trim() === '') return { ok: false, reason: 'empty' };
  const format = isMultipart(contentType, bytes) ? 'multipart' : formatOf(contentType, text);
  if (!formats.includes(format)) return { ok: false, reason: 'format_not_accepted' };
  if (format === 'multipart') {
    return parsedAs(format, parseMultipartForm(bytes, { contentType, duplicates }));
  }
  if (text.includes('\0')) return { ok: false, reason: 'nul_character' };
  if (format === 'xml') return parsedAs(format, parseXml(text, duplicates));
  if (format === 'json') return parsedAs(format, parseJson(text));
  return parsedAs(format, parseForm(bytes, { charset: charsetOf(contentType), duplicates }));
}

function parsedAs(format: CallbackMessage['format'], parsed: ParsedFields): ParsedBody {
  return parsed.ok ? { ok: true, format, raw: documentInField(parsed.raw) } : parsed;
}

/** A form may hold the whole message as one field, such as `data={"account":..}`. */
function documentInField(raw: RawFields): RawFields {
  if (raw['account'] !== undefined) return raw;
  for (const value of Object.values(raw)) {
    const first = value.trimStart()[0];
    const parsed = first === '<' ? parseXml(value) : first === '{' ? parseJson(value) : undefined;
    if (parsed?.ok === true && parsed.raw['account'] !== undefined) return parsed.raw;
  }
  return raw;
}

function queryFields(
  query: string | undefined,
  { duplicates }: MessageRules,
): RawFields | undefined {
  const parsed = query === undefined ? undefined : parseForm(Buffer.from(query), { duplicates });
  return parsed?.ok === true ? parsed.raw : undefined;
}

function messageOf(format: CallbackMessage['format'], raw: RawFields): ParseResult {
  // PostgreSQL stores no NUL, and an escape sequence passes the check of the body.
  if (Object.values(raw).some((value) => value.includes('\0'))) {
    return { ok: false, reason: 'nul_character' };
  }
  return { ok: true, message: { format, raw, fields: fieldsOf(raw) } };
}

/** The encoding that the prolog of an XML document declares. */
function charsetOfXml(body: Uint8Array): string | undefined {
  const start = Buffer.from(body.subarray(0, 200)).toString('latin1');
  return /^\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.:-]+)["']/.exec(start)?.[1];
}

/**
 * The first character decides before the content type, since a wrong type must not lose a message.
 */
function formatOf(contentType: string | undefined, text: string): 'xml' | 'json' | 'form' {
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
    const value = Object.hasOwn(raw, name) ? raw[name]?.trim() : undefined;
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
