import type { TokenizationRow } from '../../db/rows.ts';
import type { RejectionReason } from '../../domain/callback.ts';
import { type StatusMap, statusMeaningOf } from '../../domain/status-words.ts';
import type { CallbackMessage } from '../../gateway/callback-message.ts';
import { referencesOf } from '../query-gateway.ts';

/**
 * How a message differs from the request that it names; undefined when it does not. Each value is
 * compared with the stored request. This stops a message whose values were shifted across field
 * borders, which leaves its hash unchanged.
 */
export function mismatchOf(
  { fields }: CallbackMessage,
  row: TokenizationRow,
  statusMap: StatusMap,
): RejectionReason | undefined {
  if (fields.account !== row.account || fields.terminal !== row.terminal) {
    return 'account_mismatch';
  }
  const reference = fields.merchantReferenceId;
  if (isPresent(reference) && !referencesOf(row).includes(reference)) {
    return 'merchant_reference_mismatch';
  }
  if (isPresent(fields.currency) && fields.currency !== row.currency) return 'currency_mismatch';
  if (isPresent(fields.amount) && hundredths(fields.amount) !== hundredths(row.amount)) {
    return 'amount_mismatch';
  }
  const isCurrentAttempt = !isPresent(reference) || reference === row.gateway_reference;
  // A second token of one request has its own order reference, so a query has to decide about it.
  const isSuccess = statusMeaningOf(fields.status, statusMap) === 'active';
  if (row.quickpay_id_sealed !== null && isSuccess) return undefined;
  if (
    isCurrentAttempt &&
    isOtherOrder(row, fields.orderReferenceId) &&
    !isOfEarlierAttempt(row, fields.orderReferenceId)
  ) {
    return 'order_reference_mismatch';
  }
  return undefined;
}

/**
 * Whether a right signature over these fields, in this order, proves each value of the message. The
 * gateway joins the signed values without separators. The last two, QuickPay ID and status, can be
 * told apart by their format; every value before them must be known from the request. Any other
 * list of fields allows a message whose values were shifted.
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
  const knownFields = fields.slice(0, -2);
  return (
    knownFields.includes('merchant_reference_id') &&
    knownFields.includes('order_reference_id') &&
    knownFields.every((name) => known[name] !== undefined && raw[name] === known[name]) &&
    fields.at(-2) === 'quickpay_id' &&
    fields.at(-1) === 'quickpay_status'
  );
}

/**
 * Whether a message is about an earlier attempt that was sent under the same merchant reference.
 * Only the gateway's order reference tells the two apart.
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
    isPresent(orderReferenceId) &&
    row.order_reference_id !== null &&
    orderReferenceId !== row.order_reference_id
  );
}

function isPresent(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** Makes `9.9` and `9.90` equal. The grammar allows digits, then at most two decimals. */
function hundredths(amount: string): bigint {
  const [whole = '0', decimals = ''] = amount.split('.');
  return BigInt(whole) * 100n + BigInt(decimals.padEnd(2, '0'));
}
