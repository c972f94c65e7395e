import { databaseNow } from '../db/connection/database.ts';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { tokenizationIdPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { queryOutcome } from '../tokenization/query-gateway.ts';
import { defineJob, done, type JobContext, type Outcome } from '../execution/define-job.ts';
import { disablingEvents, cancelTokenAtGateway } from '../tokenization/token/cancel-at-gateway.ts';
import { answerEvents, recordAnswer } from '../tokenization/outcome/record-answer.ts';
import { watchEvents, watchToken } from '../tokenization/token/watch-expiry.ts';

const confirmEvents = [
  ...watchEvents,
  ...disablingEvents,
  ...answerEvents,
  'tokenization.outcome_unknown',
] as const;

/**
 * `tokenization.confirm` queries the gateway for the outcome of a tokenization.
 *
 * The answer comes over the worker's own TLS connection, so it outranks any redirect or push. An
 * answer that settles nothing schedules the next query; a missing answer is never read as a result.
 * The job also checks the expiry of active tokens and retries disablings, because the same scan
 * finds them.
 */
export const confirmTokenization = defineJob({
  name: 'tokenization.confirm',
  queue: 'reconciliation',
  payload: tokenizationIdPayload,
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 60_000 }),
  timeoutMs: 28_000,
  emits: confirmEvents,
  async run({ tokenizationId }, jobContext) {
    const context = { ...jobContext, now: await databaseNow(jobContext.db) };
    const row = await findTokenization(context.db, tokenizationId);
    if (row === undefined) return done('tokenization_gone');
    switch (row.state) {
      case 'requested':
        return done('not_submitted_yet');
      case 'submitting':
        return await expireLease(row, context);
      case 'active':
        return await watchToken(row, context);
      case 'disabling':
        // Not due: this job was enqueued before the disabling began, and `token.disable` now
        // cancels the token.
        if (row.reconcile_at !== null && row.reconcile_at > context.now) return done('not_due');
        return await cancelTokenAtGateway(row, context);
      case 'disabled':
      case 'token_expired':
        return done('already_settled');
      default:
        return await recordAnswer(row, await queryOutcome(row, context), context);
    }
  },
});

/** `now` is read from the database's clock, as are the times in the row. */
type ConfirmContext = { readonly now: Date } & JobContext<(typeof confirmEvents)[number]>;

/**
 * After its lease expired, the worker that sent the request counts as dead and the outcome as
 * unknown.
 */
async function expireLease(row: TokenizationRow, context: ConfirmContext): Promise<Outcome> {
  if (row.lease_until !== null && row.lease_until > context.now) {
    return done('lease_held');
  }
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.outcome_unknown',
    patch: { lease_until: null, reconcile_step: 0, reconcile_at_in_ms: 0 },
    audit: { reason: 'lease_over', detail: { cause: 'lease_over' } },
  });
  return done('submit_unknown');
}
