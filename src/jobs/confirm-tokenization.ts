import { databaseNow } from '../db/database.ts';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { tokenizationIdPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { askAboutTokenization } from '../tokenization/query-gateway.ts';
import { defineJob, done, type JobContext, type Outcome } from '../execution/define-job.ts';
import { disablingEvents, finishDisabling } from '../tokenization/token/cancel-at-gateway.ts';
import { answerEvents, recordAnswer } from '../tokenization/outcome/record-answer.ts';
import { watchEvents, watchToken } from '../tokenization/token/watch-expiry.ts';

const emits = [
  ...watchEvents,
  ...disablingEvents,
  ...answerEvents,
  'tokenization.outcome_unknown',
] as const;

/**
 * `tokenization.confirm` asks the gateway what became of a tokenization, by the reference that we chose.
 *
 * The answer over our own TLS connection outranks whatever came through a browser or a push. An answer that settles
 * nothing schedules the next query; silence is never read as a result. What is owed to an active token (its end) or to one
 * that is being disabled is done here too, since the same scan finds it.
 */
export const confirmTokenization = defineJob({
  name: 'tokenization.confirm',
  queue: 'reconciliation',
  payload: tokenizationIdPayload,
  retry: exponential({ attemptsMax: 8, baseMs: 1_000, capMs: 60_000 }),
  timeoutMs: 28_000,
  emits,
  async run({ tokenizationId }, jobContext) {
    const context = { ...jobContext, now: await databaseNow(jobContext.db) };
    const row = await findTokenization(context.db, tokenizationId);
    if (row === undefined) return done('tokenization_gone');
    switch (row.state) {
      case 'requested':
        return done('not_submitted_yet');
      case 'submitting':
        return await giveUpLease(row, context);
      case 'active':
        return await watchToken(row, context);
      case 'disabling':
        // A look that was queued before the disabling began comes while its own job is at it.
        if (row.reconcile_at !== null && row.reconcile_at > context.now) return done('not_due');
        return await finishDisabling(row, context);
      case 'disabled':
      case 'token_expired':
        return done('already_settled');
      default:
        return await recordAnswer(row, await askAboutTokenization(row, context), context);
    }
  },
});

/** Instants in the row are the database's, so they are compared with its clock. */
type Context = { readonly now: Date } & JobContext<(typeof emits)[number]>;

/** An intent whose lease ran out: whoever held it is gone, and what the gateway did is unknown. */
async function giveUpLease(row: TokenizationRow, context: Context): Promise<Outcome> {
  if (row.lease_until !== null && row.lease_until > context.now) {
    return done('still_leased');
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
