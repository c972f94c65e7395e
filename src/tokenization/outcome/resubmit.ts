import type { TokenizationRow } from '../../db/rows.ts';
import { givenReference } from '../../domain/given-reference.ts';
import { done, type JobContext, type Outcome } from '../../execution/define-job.ts';
import { requestJob } from '../../domain/outbox-job.ts';

type ResubmitContext = { readonly now: Date } & JobContext<
  'reconcile.pending' | 'reconcile.exhausted' | 'tokenization.resubmitted'
>;

/**
 * Records that the gateway does not know a request whose outcome is unknown. After two such
 * answers, far enough apart for a late record to appear, the resubmission policy decides.
 */
export async function recordNoneAnswer(
  row: TokenizationRow,
  gatewayCode: string | undefined,
  context: ResubmitContext,
): Promise<Outcome> {
  const { noneSpacingMs } = context.settings;
  const isFirst = row.none_count === 0;
  const sinceMs = row.none_at === null ? 0 : context.now.getTime() - row.none_at.getTime();
  if (!isFirst && sinceMs >= noneSpacingMs) return await resubmit(row, gatewayCode, context);
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  if (!isFirst && !isDue) return done('none_again');
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: {
      ...(isFirst ? { none_count: 1, none_at_in_ms: 0 } : {}),
      reconcile_at_in_ms: isFirst ? noneSpacingMs : Math.ceil(noneSpacingMs - sinceMs),
    },
    audit: { channel: 'query', gatewayCode, detail: { query: 'none' } },
  });
  return done('none_once');
}

async function resubmit(
  row: TokenizationRow,
  gatewayCode: string | undefined,
  context: ResubmitContext,
): Promise<Outcome> {
  const { resubmitPolicy, resubmissionsMax } = context.settings;
  if (resubmitPolicy === 'manual' || row.attempt > resubmissionsMax) {
    // A message may have caused this query; the operator is notified once only.
    if (row.review === 'lost_request' && row.reconcile_at === null) return done('left_to_operator');
    await context.apply({
      entity: 'tokenization',
      row,
      event: 'reconcile.exhausted',
      patch: { reconcile_at: null, review: 'lost_request' },
      audit: {
        channel: 'query',
        gatewayCode,
        detail: { query: 'none', resubmitPolicy, attempt: row.attempt },
      },
    });
    return done('left_to_operator');
  }
  const isRenamed = resubmitPolicy === 'new-reference';
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.resubmitted',
    patch: {
      gateway_reference: isRenamed
        ? givenReference(row.merchant_reference_id, row.attempt + 1, row.id)
        : row.gateway_reference,
      abandoned_references: isRenamed
        ? [...row.abandoned_references, row.gateway_reference]
        : row.abandoned_references,
      none_count: 0,
      none_at: null,
      reconcile_step: 0,
      reconcile_at_in_ms: context.settings.leaseMs,
    },
    audit: {
      channel: 'query',
      gatewayCode,
      reason: 'abandoned_ambiguous',
      detail: { query: 'none', resubmitPolicy },
    },
    jobs: [requestJob(row.id, row.version + 1)],
  });
  return done('resubmitted');
}
