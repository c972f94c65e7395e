import type { TokenizationRow } from '../db/rows.ts';
import type { RejectionReason } from '../domain/callback.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { referencesOf } from './ask-gateway.ts';

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
  if (row.state === 'active' && fields.status === '1') return undefined;
  if (
    isPresentAttempt &&
    isFilled(fields.orderReferenceId) &&
    row.order_reference_id !== null &&
    fields.orderReferenceId !== row.order_reference_id
  ) {
    return 'order_reference_mismatch';
  }
  return undefined;
}

function isFilled(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** `9.9` and `9.90` are one amount. Both have passed the grammar: digits, then at most two decimals. */
function hundredths(amount: string): bigint {
  const [whole = '0', decimals = ''] = amount.split('.');
  return BigInt(whole) * 100n + BigInt(decimals.padEnd(2, '0'));
}
