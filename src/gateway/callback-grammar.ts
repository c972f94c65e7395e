import { createHash } from 'node:crypto';
import type { Channel } from '../domain/callback.ts';
import { type StatusMap, statusMeaningOf } from '../domain/status-words.ts';
import { accountGrammar } from './account-grammar.ts';
import type { CallbackFields, CallbackMessage } from './callback-message.ts';

/** A field that breaks the grammar. It never holds the field's value. */
export interface GrammarFault {
  readonly field: keyof CallbackFields | 'reference';
  /** `unknown`: a status that is none of the configured words. */
  readonly reason: 'missing' | 'malformed' | 'unknown';
}

type TextField = Exclude<keyof CallbackFields, 'quickpayId'>;

/**
 * The pattern of each field. A signature joins values without separators, so an attacker can move
 * characters from one field to the next and keep the signature. Strict patterns leave little room
 * for that.
 */
const grammar: Readonly<Partial<Record<TextField, RegExp>>> = {
  code: /^[A-Za-z0-9_]{1,16}$/,
  ...accountGrammar,
  orderReferenceId: /^\d{10,32}$/,
  merchantReferenceId: /^[\x21-\x7e]{1,50}$/,
  currency: /^[A-Z]{3}$/,
  amount: /^(?:0|[1-9]\d{0,9})(?:\.\d{1,2})?$/,
};
// No hyphen at the end: `id` with status `-1` has the same signature as `id-` with status `1`.
const quickpayIdGrammar = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$/;
const required: readonly TextField[] = ['account', 'terminal', 'status'];

/** Every field that breaks the grammar; an empty list means that the message conforms. */
export function checkGrammar(
  { fields }: CallbackMessage,
  statusMap: StatusMap,
): readonly GrammarFault[] {
  const faults: GrammarFault[] = [];
  for (const field of required) {
    if (fields[field] === undefined) faults.push({ field, reason: 'missing' });
  }
  if (fields.merchantReferenceId === undefined && fields.orderReferenceId === undefined) {
    faults.push({ field: 'reference', reason: 'missing' });
  }
  const status = statusMeaningOf(fields.status, statusMap);
  if (fields.status !== undefined && status === undefined) {
    faults.push({ field: 'status', reason: 'unknown' });
  }
  if (status === 'active' && fields.quickpayId === undefined) {
    faults.push({ field: 'quickpayId', reason: 'missing' });
  }
  for (const [field, shape] of Object.entries(grammar)) {
    const value = fields[field as TextField];
    if (value !== undefined && !shape.test(value)) {
      faults.push({ field: field as TextField, reason: 'malformed' });
    }
  }
  if (fields.quickpayId !== undefined && !quickpayIdGrammar.test(fields.quickpayId.reveal())) {
    faults.push({ field: 'quickpayId', reason: 'malformed' });
  }
  return faults;
}

/** Fields of pushes about payments and orders, of which older ones have no `notice_type`. */
const paymentFields = ['payment_id', 'payment_status', 'push_status'] as const;

/**
 * Whether a message claims to be about a token. A merchant may register the notify route for
 * payments, refunds or disputes by mistake. No documented `notice_type` is about a token; a message
 * with a token status always is.
 */
export function isTokenMessage({ fields, raw }: CallbackMessage): boolean {
  if (fields.status !== undefined) return true;
  return fields.noticeType === undefined && !paymentFields.some((name) => Object.hasOwn(raw, name));
}

/**
 * A digest of the meaning of a message. Messages of one channel that say the same about the same
 * token share it, whatever their push time. JSON keeps the borders between values unambiguous.
 */
export function semanticKey(channel: Channel, { fields }: CallbackMessage): string {
  const meaning = [
    channel,
    fields.account,
    fields.terminal,
    fields.orderReferenceId,
    fields.merchantReferenceId,
    fields.quickpayId?.reveal(),
    fields.status,
  ].map((value) => value ?? null);
  return createHash('sha256').update(JSON.stringify(meaning)).digest('hex');
}
