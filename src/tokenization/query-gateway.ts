import type { TokenizationRow } from '../db/rows.ts';
import type { QuickPayLookup, QuickPayRecord, QueryReply } from '../gateway/client.ts';
import { isSameQuickpayId } from './row.ts';
import type { JobContext } from '../execution/define-job.ts';
import { getAccountOf } from '../account/open-account.ts';
import { type Answer, saysOf, matchesLookup, selectRecord } from '../gateway/answer.ts';

/**
 * Asks what became of a tokenization, by the reference that we chose. A reference that was given up may have led to a
 * token after all, so it is asked about too unless the present one has a usable token. Without an answer about each of them
 * the outcome is unknown.
 */
export async function askAboutTokenization(
  row: TokenizationRow,
  context: JobContext<never>,
): Promise<Answer> {
  const present = await ask(row, byReference(row.gateway_reference), context);
  if (present.says === 'success' || present.says === 'unknown') return present;
  for (const reference of row.abandoned_references.toReversed()) {
    if (reference === row.gateway_reference) continue;
    const former = await ask(row, byReference(reference), context);
    if (former.says === 'success' || former.says === 'unknown') return former;
  }
  return present;
}

/**
 * Asks whether any reference of a tokenization leads to a usable token other than its own: `success` with that token,
 * `none`, or `unknown` where one of the references got no answer.
 */
export async function askForSecondToken(
  row: TokenizationRow,
  context: JobContext<never>,
): Promise<Answer> {
  const account = await getAccountOf(context, row);
  for (const reference of new Set([row.gateway_reference, ...row.abandoned_references])) {
    const lookup = byReference(reference);
    const reply = await context.gateway.queryQuickPay(account, lookup, { signal: context.signal });
    if (reply.kind === 'unknown') {
      return { says: 'unknown', isOtherToken: false, word: reply.cause };
    }
    const records = reply.kind === 'found' ? reply.records : [];
    const other = records.find(
      (record) =>
        matchesLookup(lookup, record) &&
        saysOf(record) === 'success' &&
        !isOwnToken(record, row, context),
    );
    if (other !== undefined) {
      return { says: 'success', isOtherToken: true, record: other, word: other.status };
    }
  }
  return { says: 'none', isOtherToken: false, word: 'none' };
}

function isOwnToken(
  { quickpayId }: QuickPayRecord,
  { quickpay_id_index: own }: TokenizationRow,
  { keyring }: JobContext<never>,
): boolean {
  return quickpayId !== undefined && own !== null && isSameQuickpayId(keyring, quickpayId, own);
}

/** Asks about one token by its id, or whatever else finds it. */
export async function ask(
  row: TokenizationRow,
  lookup: QuickPayLookup,
  context: JobContext<never>,
): Promise<Answer> {
  const account = await getAccountOf(context, row);
  const reply = await context.gateway.queryQuickPay(account, lookup, { signal: context.signal });
  return answerOf(row, lookup, reply, context);
}

/** Every reference that the gateway may know a tokenization by. */
export function referencesOf(row: TokenizationRow): readonly string[] {
  return [row.merchant_reference_id, row.gateway_reference, ...row.abandoned_references];
}

function byReference(value: string): QuickPayLookup {
  return { by: 'merchantReferenceId', value };
}

export function answerOf(
  row: TokenizationRow,
  lookup: QuickPayLookup,
  reply: QueryReply,
  { keyring }: JobContext<never>,
): Answer {
  if (reply.kind === 'unknown') return { says: 'unknown', isOtherToken: false, word: reply.cause };
  const record = reply.kind === 'found' ? selectRecord(lookup, reply.records) : undefined;
  if (record === undefined) {
    const gatewayCode = reply.kind === 'none' ? reply.gatewayCode : undefined;
    return { says: 'none', isOtherToken: false, word: 'none', gatewayCode };
  }
  const isOtherToken =
    record.quickpayId !== undefined &&
    row.evidence_index !== null &&
    !isSameQuickpayId(keyring, record.quickpayId, row.evidence_index);
  return { says: saysOf(record), isOtherToken, record, word: record.status };
}
