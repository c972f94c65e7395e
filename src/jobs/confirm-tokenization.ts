import { databaseNow } from '../db/database.ts';
import type { TokenizationRow } from '../db/rows.ts';
import { findTokenization } from '../db/tokenizations.ts';
import { decideOnAnswer } from '../domain/evidence.ts';
import { tokenizationIdPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { isOpen } from '../domain/tokenization.ts';
import { activation } from './activation.ts';
import { type Answer, askAboutTokenization } from './ask-gateway.ts';
import { beliefOf } from './belief.ts';
import { defineJob, done, type JobContext, type Outcome } from './define-job.ts';
import { disablingEvents, finishDisabling } from './finish-disabling.ts';
import { recordNone } from './resubmit-lost-request.ts';
import { watchEvents, watchToken } from './watch-token.ts';

const emits = [
  ...watchEvents,
  ...disablingEvents,
  'tokenization.outcome_unknown',
  'tokenization.located',
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.expired',
  'tokenization.resubmitted',
  'reconcile.settled',
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

async function recordAnswer(
  row: TokenizationRow,
  answer: Answer,
  context: Context,
): Promise<Outcome> {
  const decision = decideOnAnswer(beliefOf(row, context.now), answer);
  const rawStatus = answer.record?.rawStatus;
  const audit = { channel: 'query', detail: rawStatus === undefined ? {} : { rawStatus } } as const;
  switch (decision.event) {
    case 'tokenization.activated':
      return await activate(row, answer, decision.review, context);
    case 'tokenization.failed':
      await context.apply({
        entity: 'tokenization',
        row,
        event: decision.event,
        patch: { lease_until: null, reconcile_at: null },
        audit: { ...audit, reason: 'status' },
      });
      return done(decision.reason);
    case 'reconcile.settled':
      await context.apply({
        entity: 'tokenization',
        row,
        event: decision.event,
        patch: { reconcile_at: null },
        audit,
      });
      return done(decision.reason);
    case 'tokenization.located':
      await context.apply({
        entity: 'tokenization',
        row,
        event: decision.event,
        patch: {
          order_reference_id: answer.record?.orderReferenceId ?? row.order_reference_id,
          deadline_at_in_ms: context.settings.awaitingCustomerDeadlineMs,
          none_count: 0,
          reconcile_step: 0,
          reconcile_at_in_ms: context.settings.reconcileScheduleMs[0] ?? 0,
        },
        audit,
      });
      return done(decision.reason);
    case 'tokenization.expired':
      return await expire(row, answer, context);
    default:
      if (!decision.isAsking) return done(decision.reason);
      if (answer.says === 'none' && row.state === 'submit_unknown') {
        return await recordNone(row, answer.gatewayCode, context);
      }
      return await lookAgain(row, answer, context);
  }
}

/** The id in the answer wins over the one in the evidence, which ranks lower; that they differ is for a person to see. */
async function activate(
  row: TokenizationRow,
  { record }: Answer,
  review: string | undefined,
  context: Context,
): Promise<Outcome> {
  if (record?.quickpayId === undefined) return done('no_token');
  const { patch } = activation(context, row, { ...record, quickpayId: record.quickpayId });
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.activated',
    patch: review === undefined ? patch : { ...patch, review },
    audit: {
      channel: 'query',
      detail: {
        rawStatus: record.rawStatus,
        isLate: row.state === 'expired' || row.state === 'failed',
        ...(row.state === 'failed' ? { supersedes: 'failed' } : {}),
      },
    },
  });
  return done('active');
}

/** The customer's time is over and the gateway knows of no result. It is asked on, since a late success still wins. */
async function expire(row: TokenizationRow, answer: Answer, context: Context): Promise<Outcome> {
  const { next, audit } = nextLook(row, answer, context);
  await context.apply({
    entity: 'tokenization',
    row,
    event: 'tokenization.expired',
    patch: { lease_until: null, ...next },
    audit: { ...audit, reason: 'deadline' },
  });
  return done('expired');
}

/**
 * Nothing is settled: the next step of the schedule is due. A query that a message asked for between two steps takes none,
 * or strangers could use the schedule up.
 */
async function lookAgain(row: TokenizationRow, answer: Answer, context: Context): Promise<Outcome> {
  const isDue = row.reconcile_at !== null && row.reconcile_at <= context.now;
  if (!isDue) return done('asked_early');
  const { next, audit, isOver } = nextLook(row, answer, context);
  // A result that is still owed is for a person to look at; what has ended has merely stopped being asked about.
  const review = isOver && isOpen(row.state) ? { review: 'reconcile_exhausted' } : {};
  await context.apply({
    entity: 'tokenization',
    row,
    event: isOver ? 'reconcile.exhausted' : 'reconcile.pending',
    patch: { ...next, ...review },
    audit,
  });
  return done(isOver ? 'schedule_over' : 'look_again');
}

/** The next step: by the schedule, or at the deadline when that comes first or the schedule is over. */
function nextLook(row: TokenizationRow, answer: Answer, { now, settings }: Context) {
  const step = row.reconcile_step + 1;
  const scheduledMs = settings.reconcileScheduleMs[step];
  const toDeadlineMs = row.deadline_at === null ? 0 : row.deadline_at.getTime() - now.getTime();
  const waitMs =
    toDeadlineMs > 0 ? Math.ceil(Math.min(scheduledMs ?? toDeadlineMs, toDeadlineMs)) : scheduledMs;
  const { gatewayCode, word } = answer;
  return {
    isOver: waitMs === undefined,
    next: {
      reconcile_step: step,
      ...(waitMs === undefined ? { reconcile_at: null } : { reconcile_at_in_ms: waitMs }),
    },
    audit: {
      channel: 'query',
      gatewayCode,
      detail: { query: word, reconcileStep: step },
    } as const,
  };
}
