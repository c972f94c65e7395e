import type { TokenizationRow } from '../db/rows.ts';
import type { QuickPayLookup, QuickPayRecord, QueryReply } from '../gateway/client.ts';
import { shapeOf } from '../domain/expiry-instant.ts';
import { expiresAtOf, isSameQuickpayId } from './row.ts';
import type { JobContext } from '../execution/define-job.ts';
import { getAccountOf } from '../account/accounts.ts';
import { type Answer, saysOf, matchesLookup, selectRecord } from '../gateway/answer.ts';

/**
 * Queries the outcome of a tokenization by its current reference, then by its abandoned ones until
 * one of them has a usable token: an abandoned attempt may have made a token after all. The outcome
 * is unknown unless the gateway answered about each reference.
 */
export async function queryOutcome(
  row: TokenizationRow,
  context: JobContext<never>,
): Promise<Answer> {
  const current = await queryToken(row, byReference(row.gateway_reference), context);
  if (current.says === 'success' || current.says === 'unknown') return current;
  for (const reference of row.abandoned_references.toReversed()) {
    if (reference === row.gateway_reference) continue;
    const abandoned = await queryToken(row, byReference(reference), context);
    if (abandoned.says === 'success' || abandoned.says === 'unknown') return abandoned;
  }
  return current;
}

/**
 * Queries whether any reference of a tokenization has a usable token other than its own: `success`
 * with that token, `none`, or `unknown` when the gateway did not answer about one of the
 * references.
 */
export async function querySecondToken(
  row: TokenizationRow,
  context: JobContext<never>,
): Promise<Answer> {
  const account = await getAccountOf(context, row);
  const call = { signal: context.signal, subject: row.id };
  for (const reference of new Set([row.gateway_reference, ...row.abandoned_references])) {
    const lookup = byReference(reference);
    const reply = await context.gateway.queryQuickPay(account, lookup, call);
    if (reply.kind === 'unknown') {
      return { says: 'unknown', isOtherToken: false, word: reply.cause };
    }
    const records = reply.kind === 'found' ? reply.records : [];
    const other = records.find(
      (record) =>
        matchesLookup(lookup, record) &&
        saysOf(record) === 'success' &&
        !isTokenOfRow(record, row, context),
    );
    if (other !== undefined) {
      return { says: 'success', isOtherToken: true, record: other, word: other.status };
    }
  }
  return { says: 'none', isOtherToken: false, word: 'none' };
}

function isTokenOfRow(
  { quickpayId }: QuickPayRecord,
  { quickpay_id_index: own }: TokenizationRow,
  { keyring }: JobContext<never>,
): boolean {
  return quickpayId !== undefined && own !== null && isSameQuickpayId(keyring, quickpayId, own);
}

/** Queries one token of a tokenization's account, by its QuickPay ID or by a reference. */
export async function queryToken(
  row: TokenizationRow,
  lookup: QuickPayLookup,
  context: JobContext<never>,
): Promise<Answer> {
  const account = await getAccountOf(context, row);
  const call = { signal: context.signal, subject: row.id };
  const reply = await context.gateway.queryQuickPay(account, lookup, call);
  return answerOf(row, lookup, reply, context);
}

/** Every reference by which the gateway may know a tokenization. */
export function referencesOf(row: TokenizationRow): readonly string[] {
  return [row.merchant_reference_id, row.gateway_reference, ...row.abandoned_references];
}

function byReference(value: string): QuickPayLookup {
  return { by: 'merchantReferenceId', value };
}

function answerOf(
  row: TokenizationRow,
  lookup: QuickPayLookup,
  reply: QueryReply,
  context: JobContext<never>,
): Answer {
  if (reply.kind === 'unknown') {
    const { cause: word, gatewayCode } = reply;
    return { says: 'unknown', isOtherToken: false, word, gatewayCode };
  }
  const record = reply.kind === 'found' ? selectRecord(lookup, reply.records) : undefined;
  if (reply.kind === 'none') {
    return { says: 'none', isOtherToken: false, word: 'none', gatewayCode: reply.gatewayCode };
  }
  // Records of another token: the gateway may have altered the reference, as it does in redirects.
  if (record === undefined) {
    return { says: 'unknown', isOtherToken: false, word: 'reference_mismatch' };
  }
  warnOfUnreadableExpiry(row, record, context);
  const isOtherToken =
    record.quickpayId !== undefined &&
    row.evidence_index !== null &&
    !isSameQuickpayId(context.keyring, record.quickpayId, row.evidence_index);
  return { says: saysOf(record), isOtherToken, record, word: record.status };
}

/**
 * A token without a readable expiry seems to last forever, and the merchant gets no notice before
 * it expires.
 */
function warnOfUnreadableExpiry(
  { id: tokenizationId }: TokenizationRow,
  { expiryTime }: QuickPayRecord,
  { logger, settings }: JobContext<never>,
): void {
  if (expiryTime === undefined || expiresAtOf(expiryTime, settings) !== undefined) return;
  logger.warn(
    { tokenizationId, shape: shapeOf(expiryTime) },
    'the expiryTime of a token cannot be read, so the worker does not know when the token expires',
  );
}
