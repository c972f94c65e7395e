import { createHash } from 'node:crypto';
import type { Channel } from '../domain/callback.ts';
import type { CallbackFields, CallbackMessage } from './callback-message.ts';

/** A field that is not what it has to be. Never holds a value. */
export interface GrammarFault {
  readonly field: keyof CallbackFields | 'reference';
  readonly reason: 'missing' | 'malformed';
}

type TextField = Exclude<keyof CallbackFields, 'quickpayId'>;

/**
 * What each field has to look like. Values are joined without separators when they are signed, so a message whose borders were
 * shifted can have a right hash; a strict grammar leaves little room to shift them into.
 */
const grammar: Readonly<Partial<Record<TextField, RegExp>>> = {
  code: /^[A-Za-z0-9_]{1,16}$/,
  account: /^\d{6}$/,
  terminal: /^\d{8,12}$/,
  orderReferenceId: /^\d{10,32}$/,
  merchantReferenceId: /^[\x21-\x7e]{1,50}$/,
  status: /^(?:-1|0|1)$/,
  currency: /^[A-Z]{3}$/,
  amount: /^(?:0|[1-9]\d{0,9})(?:\.\d{1,2})?$/,
};
// A hyphen at the end may be the sign of a status that was pushed over the border: `id` + `-1` signs like `id-` + `1`.
const quickpayIdGrammar = /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$/;
const required: readonly TextField[] = ['account', 'terminal', 'status'];

/** Every field that breaks the grammar; an empty list means that the message may be judged further. */
export function checkGrammar({ fields }: CallbackMessage): readonly GrammarFault[] {
  const faults: GrammarFault[] = [];
  for (const field of required) {
    if (fields[field] === undefined) faults.push({ field, reason: 'missing' });
  }
  if (fields.merchantReferenceId === undefined && fields.orderReferenceId === undefined) {
    faults.push({ field: 'reference', reason: 'missing' });
  }
  if (fields.status === '1' && fields.quickpayId === undefined) {
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

/** Fields of the gateway's pushes about payments and orders. Older ones name no `notice_type`. */
const paymentFields = ['payment_id', 'payment_status', 'push_status'] as const;

/**
 * Whether a message claims to be about a token. The notify route may be given to the gateway for payments, refunds or disputes by mistake; none
 * of its documented notices is about a token (protocol: notice_type), and whatever names the status of a token is one.
 */
export function isTokenMessage({ fields, raw }: CallbackMessage): boolean {
  if (fields.status !== undefined) return true;
  return fields.noticeType === undefined && !paymentFields.some((name) => Object.hasOwn(raw, name));
}

/**
 * What a message is about, as one digest: two messages of one channel that say the same of the same token share it, whatever
 * their push time. Encoded as JSON, so that no value can pose as a border between two others.
 */
export function semanticKey(channel: Channel, { fields }: CallbackMessage): string {
  const about = [
    channel,
    fields.account,
    fields.terminal,
    fields.orderReferenceId,
    fields.merchantReferenceId,
    fields.quickpayId?.reveal(),
    fields.status,
  ].map((value) => value ?? null);
  return createHash('sha256').update(JSON.stringify(about)).digest('hex');
}
