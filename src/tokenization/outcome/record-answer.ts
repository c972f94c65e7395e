import type { TokenizationRow } from '../../db/rows.ts';
import { type Decision, decideOnAnswer } from '../../domain/evidence.ts';
import { isOpen } from '../../domain/tokenization.ts';
import {
  activation,
  isResubmitted,
  reconcileAfterFailure,
  factsOf,
  firstReconcileStep,
} from '../row.ts';
import { done, type JobContext, type Outcome, committed } from '../../execution/define-job.ts';
import { recordNone } from './resubmit.ts';
import type { Answer } from '../../gateway/answer.ts';

/** The changes that an answer of the gateway may lead to. */
export const answerEvents = [
  'tokenization.located',
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.expired',
  'tokenization.resubmitted',
  'reconcile.pending',
  'reconcile.settled',
  'reconcile.exhausted',
] as const;

/** Instants in the row are the database's, so they are compared with its clock. */
type Context = { readonly now: Date } & JobContext<(typeof answerEvents)[number]>;

/**
 * Records what the gateway's answer does to a tokenization without a usable token. An answer that settles nothing schedules
 * the next query; silence is never read as a result.
 */
export async function recordAnswer(
  row: TokenizationRow,
  answer: Answer,
  context: Context,
): Promise<Outcome> {
  const decision = decideOnAnswer(factsOf(row, context.now), answer);
  const change = changeOf(decision, row, answer, context);
  if (change !== undefined) {
    const outcome = await context.apply({ entity: 'tokenization', row, ...change });
    return committed(outcome, decision.reason);
  }
  const isLostSought = decision.event === 'reconcile.settled';
  if (!decision.isAsking && !isLostSought) return done(decision.reason);
  if (answer.says === 'none' && row.state === 'submit_unknown') {
    return await recordNone(row, answer.gatewayCode, context);
  }
  return await scheduleNextStep(row, answer, context);
}

/** The columns that an event sets; undefined where the answer settles nothing. */
function changeOf(
  { event, review }: Decision,
  row: TokenizationRow,
  answer: Answer,
  context: Context,
) {
  const { record } = answer;
  const detail = record === undefined ? {} : { rawStatus: record.rawStatus };
  const audit = { channel: 'query', detail } as const;
  switch (event) {
    case 'tokenization.activated': {
      if (record?.quickpayId === undefined) return undefined;
      const { patch } = activation(context, row, { ...record, quickpayId: record.quickpayId });
      const isLate = row.state === 'expired' || row.state === 'failed';
      const supersedes = row.state === 'failed' ? { supersedes: 'failed' } : {};
      return {
        event,
        // The id in the answer wins over the one in the evidence, which ranks lower; that they differ is for a person to see.
        patch: review === undefined ? patch : { ...patch, review },
        audit: { ...audit, detail: { ...detail, isLate, ...supersedes } },
      } as const;
    }
    case 'tokenization.failed':
      return {
        event,
        patch: { lease_until: null, ...reconcileAfterFailure(row, context.settings) },
        audit: { ...audit, reason: 'status' },
      } as const;
    case 'reconcile.settled':
      // The failure is the present attempt's; what became of a lost one is asked on.
      if (isResubmitted(row)) return undefined;
      return { event, patch: { reconcile_at: null }, audit } as const;
    case 'tokenization.located':
      return {
        event,
        patch: {
          order_reference_id: record?.orderReferenceId ?? row.order_reference_id,
          deadline_at_in_ms: context.settings.awaitingCustomerDeadlineMs,
          none_count: 0,
          ...firstReconcileStep(context.settings),
        },
        audit,
      } as const;
    case 'tokenization.expired': {
      // It is asked on, since a late success still wins.
      const look = nextReconcileStep(row, answer, context);
      return {
        event,
        patch: { lease_until: null, ...look.next },
        audit: { ...look.audit, reason: 'deadline' },
      } as const;
    }
    default:
      return undefined;
  }
}

/**
 * Nothing is settled: the next step of the schedule is due. A query that a message asked for between two steps takes none,
 * or strangers could use the schedule up.
 */
async function scheduleNextStep(
  row: TokenizationRow,
  answer: Answer,
  context: Context,
): Promise<Outcome> {
  if (row.reconcile_at === null) {
    return isOpen(row.state) ? await restartSchedule(row, answer, context) : done('schedule_over');
  }
  if (row.reconcile_at > context.now) return done('asked_early');
  const { next, audit, isOver } = nextReconcileStep(row, answer, context);
  // A result that is still owed is for a person to look at; what has ended has merely stopped being asked about.
  const review = isOver && isOpen(row.state) ? { review: 'reconcile_exhausted' } : {};
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: isOver ? 'reconcile.exhausted' : 'reconcile.pending',
    patch: { ...next, ...review },
    audit,
  });
  return committed(outcome, isOver ? 'schedule_over' : 'look_again');
}

/** The schedule was over, and a proven message made us ask: its result is owed again. */
async function restartSchedule(
  row: TokenizationRow,
  answer: Answer,
  context: Context,
): Promise<Outcome> {
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: firstReconcileStep(context.settings),
    audit: { channel: 'query', detail: { query: answer.word, reconcileStep: 0 } },
  });
  return committed(outcome, 'look_again');
}

/** The next step: by the schedule, or at the deadline when that comes first or the schedule is over. */
function nextReconcileStep(row: TokenizationRow, answer: Answer, { now, settings }: Context) {
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
