import type { TokenizationRow } from '../../db/rows.ts';
import type { RejectionReason } from '../../domain/callback.ts';
import type { CallbackMessage } from '../../gateway/callback-message.ts';
import { referencesOf } from '../query-gateway.ts';

/**
 * How a message differs from the request that it claims to be about, or undefined when it does not. Each value is
 * compared with what was stored when the request was made: this is what stops a message whose values were shifted across
 * field borders without changing its hash.
 */
export function mismatchOf(
  { fields }: CallbackMessage,
  row: TokenizationRow,
): RejectionReason | undefined {
  if (fields.account !== row.account || fields.terminal !== row.terminal) {
    return 'account_mismatch';
  }
  const reference = fields.merchantReferenceId;
  if (isFilled(reference) && !referencesOf(row).includes(reference)) {
    return 'merchant_reference_mismatch';
  }
  if (isFilled(fields.currency) && fields.currency !== row.currency) return 'currency_mismatch';
  if (isFilled(fields.amount) && hundredths(fields.amount) !== hundredths(row.amount)) {
    return 'amount_mismatch';
  }
  const isPresentAttempt = !isFilled(reference) || reference === row.gateway_reference;
  // A second token of one request has a reference of its own at the gateway, which is asked about it.
  if (row.quickpay_id_sealed !== null && fields.status === '1') return undefined;
  if (
    isPresentAttempt &&
    isOtherOrder(row, fields.orderReferenceId) &&
    !isOfEarlierAttempt(row, fields.orderReferenceId)
  ) {
    return 'order_reference_mismatch';
  }
  return undefined;
}

/**
 * Whether a right signature over these fields, in this order, can stand for nothing but what the message says. The signed
 * values are joined without separators, so each of them has to be known from the request, but for the token's id and status
 * at the end: those have borders of their own. Where a list holds anything else, a message may be another one that was shifted.
 */
export function isUnambiguous(
  fields: readonly string[] | undefined,
  { raw }: CallbackMessage,
  row: TokenizationRow,
): boolean {
  if (fields === undefined) return false;
  const known: Readonly<Record<string, string | null>> = {
    account: row.account,
    terminal: row.terminal,
    merchant_reference_id: row.gateway_reference,
    order_reference_id: row.order_reference_id,
    order_currency: row.currency,
    order_amount: row.amount,
    order_methods: row.methods,
  };
  const pinned = fields.slice(0, -2);
  return (
    pinned.includes('merchant_reference_id') &&
    pinned.includes('order_reference_id') &&
    pinned.every((name) => known[name] !== undefined && raw[name] === known[name]) &&
    fields.at(-2) === 'quickpay_id' &&
    fields.at(-1) === 'quickpay_status'
  );
}

/**
 * Whether the gateway's own reference is another than the present attempt's, where an earlier attempt was sent under the
 * same reference of ours. What became of that one is for the gateway to say.
 */
export function isOfEarlierAttempt(
  row: TokenizationRow,
  orderReferenceId: string | undefined,
): boolean {
  const isReferenceShared = row.attempt > 1 + row.abandoned_references.length;
  return isReferenceShared && isOtherOrder(row, orderReferenceId);
}

function isOtherOrder(row: TokenizationRow, orderReferenceId: string | undefined): boolean {
  return (
    isFilled(orderReferenceId) &&
    row.order_reference_id !== null &&
    orderReferenceId !== row.order_reference_id
  );
}

function isFilled(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** `9.9` and `9.90` are one amount. Both have passed the grammar: digits, then at most two decimals. */
function hundredths(amount: string): bigint {
  const [whole = '0', decimals = ''] = amount.split('.');
  return BigInt(whole) * 100n + BigInt(decimals.padEnd(2, '0'));
}
