import type { TokenizationRow } from '../../db/rows.ts';
import { type Decision, decideOnAnswer } from '../../domain/evidence.ts';
import { isOpen } from '../../domain/tokenization.ts';
import {
  activationPatch,
  isResubmitted,
  reconcileAfterFailure,
  factsOf,
  firstReconcileStep,
} from '../row.ts';
import { done, type JobContext, type Outcome, committed } from '../../execution/define-job.ts';
import { recordLostAnswer, reportLostRedirect } from './resubmit.ts';
import { type Answer, isUnreadable } from '../../gateway/answer.ts';

/** The changes that an answer of the gateway may lead to. */
export const answerEvents = [
  'tokenization.activated',
  'tokenization.failed',
  'tokenization.expired',
  'tokenization.resubmitted',
  'tokenization.redirect_lost',
  'reconcile.pending',
  'reconcile.settled',
  'reconcile.exhausted',
] as const;

/** `now` is read from the database's clock, as are the times in the row. */
type AnswerContext = { readonly now: Date } & JobContext<(typeof answerEvents)[number]>;

/**
 * Records the gateway's answer about a tokenization without a usable token. An answer that settles
 * nothing schedules the next query. A missing answer is never read as a result.
 */
export async function recordAnswer(
  row: TokenizationRow,
  answer: Answer,
  context: AnswerContext,
): Promise<Outcome> {
  const decision = decideOnAnswer(factsOf(row, context.now), answer);
  const change = answerChangeOf(decision, row, answer, context);
  if (change !== undefined) {
    const outcome = await context.apply({ entity: 'tokenization', row, ...change });
    return committed(outcome, decision.reason);
  }
  const isLostAttemptOpen = decision.event === 'reconcile.settled';
  if (!decision.needsQuery && !isLostAttemptOpen) return done(decision.reason);
  const isAnswered = answer.says !== 'unknown' || isUnreadable(answer);
  const isLost = answer.says === 'none' || answer.says === 'pending';
  if (isLost && row.state === 'submit_unknown') {
    return await recordLostAnswer(row, { ...answer, says: answer.says }, context);
  }
  if ((isUnreadable(answer) && row.state === 'submit_unknown') || (isAnswered && isPageLost(row))) {
    return await recordUnclearAnswer(row, answer, context);
  }
  return await scheduleNextStep(row, answer, context);
}

/**
 * Whether a signed message named a result of a request whose reply was lost. The request must not
 * be sent again, and its page was in that reply.
 */
function isPageLost({ state, lost_answer_at: lostAt }: TokenizationRow): boolean {
  return state === 'confirming' && lostAt !== null;
}

/** The gateway's record may lag behind its message, but not by more than this. */
const unclearForMs = 600_000;

/**
 * Records an answer from which the worker can't tell whether a customer has its page, or whether
 * the request may be sent again. If no answer is clear within ten minutes, the worker informs the
 * merchant.
 */
async function recordUnclearAnswer(
  row: TokenizationRow,
  answer: Answer,
  context: AnswerContext,
): Promise<Outcome> {
  if (row.lost_answer_at === null) {
    const first = { lost_answer: 'unreadable', lost_answer_at_in_ms: 0 };
    return await scheduleNextStep(row, answer, context, first);
  }
  const sinceMs = context.now.getTime() - row.lost_answer_at.getTime();
  if (sinceMs < Math.max(unclearForMs, context.settings.lostAnswerSpacingMs)) {
    return await scheduleNextStep(row, answer, context);
  }
  const reason = isUnreadable(answer) ? 'answer_unreadable' : undefined;
  return await reportLostRedirect(row, answer, context, reason);
}

/** The columns that an event sets; undefined where the answer settles nothing. */
function answerChangeOf(
  { event, review }: Decision,
  row: TokenizationRow,
  answer: Answer,
  context: AnswerContext,
) {
  const { record } = answer;
  const detail = record === undefined ? {} : { rawStatus: record.rawStatus };
  const audit = { channel: 'query', detail } as const;
  switch (event) {
    case 'tokenization.activated': {
      if (record?.quickpayId === undefined) return undefined;
      const patch = activationPatch(context, row, { ...record, quickpayId: record.quickpayId });
      const isLate = row.state === 'expired' || row.state === 'failed';
      const supersedes = row.state === 'failed' ? { supersedes: 'failed' } : {};
      return {
        event,
        // The id in the answer outranks the one in the evidence; an operator reviews the
        // difference.
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
      // The failure is the current attempt's; the queries about a lost one go on.
      if (isResubmitted(row)) return undefined;
      return { event, patch: { reconcile_at: null }, audit } as const;
    case 'tokenization.expired': {
      // The queries go on, because a late success still activates the token.
      const step = nextReconcileStep(row, answer, context);
      return {
        event,
        patch: { lease_until: null, ...step.patch },
        audit: { ...step.audit, reason: 'deadline' },
      } as const;
    }
    default:
      return undefined;
  }
}

/**
 * Schedules the next query. A query that a message caused between two steps uses up no step, so
 * that unverified senders cannot exhaust the schedule.
 */
async function scheduleNextStep(
  row: TokenizationRow,
  answer: Answer,
  context: AnswerContext,
  alsoSet: Readonly<Record<string, unknown>> = {},
): Promise<Outcome> {
  if (row.reconcile_at === null) {
    return isOpen(row.state) ? await restartSchedule(row, answer, context) : done('schedule_over');
  }
  if (row.reconcile_at > context.now) return done('step_not_due');
  const { patch, audit, isOver } = nextReconcileStep(row, answer, context);
  // An operator has to review a missing result. A tokenization that has ended just gets no more
  // queries.
  const review = isOver && isOpen(row.state) ? { review: 'reconcile_exhausted' } : {};
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: isOver ? 'reconcile.exhausted' : 'reconcile.pending',
    patch: { ...patch, ...review, ...alsoSet },
    audit,
  });
  return committed(outcome, isOver ? 'schedule_over' : 'rescheduled');
}

/**
 * The schedule was over; a proven message made the worker query again, so a result is expected
 * again.
 */
async function restartSchedule(
  row: TokenizationRow,
  answer: Answer,
  context: AnswerContext,
): Promise<Outcome> {
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: 'reconcile.pending',
    patch: firstReconcileStep(context.settings),
    audit: { channel: 'query', detail: { query: answer.word, reconcileStep: 0 } },
  });
  return committed(outcome, 'rescheduled');
}

/**
 * The next step of the schedule, or the deadline where that comes first or the schedule is over.
 */
function nextReconcileStep(row: TokenizationRow, answer: Answer, { now, settings }: AnswerContext) {
  const step = row.reconcile_step + 1;
  const scheduledMs = settings.reconcileScheduleMs[step];
  const toDeadlineMs = row.deadline_at === null ? 0 : row.deadline_at.getTime() - now.getTime();
  const waitMs =
    toDeadlineMs > 0 ? Math.ceil(Math.min(scheduledMs ?? toDeadlineMs, toDeadlineMs)) : scheduledMs;
  const { gatewayCode, word } = answer;
  return {
    isOver: waitMs === undefined,
    patch: {
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
