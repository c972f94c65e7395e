import { databaseNow } from '../../db/connection/database.ts';
import { decideOnClaim } from '../../domain/evidence.ts';
import { retryWhileUnanswered, retryUntilConfirmed } from './backoff.ts';
import { queryOutcome } from '../query-gateway.ts';
import { type JobContext, type Outcome, snooze, committed } from '../../execution/define-job.ts';
import type { JobSettings } from '../../execution/dependencies.ts';
import { answerEvents, recordAnswer } from '../outcome/record-answer.ts';
import type { CoalescedAnswer } from '../../gateway/coalesced-queries.ts';
import type { Answer } from '../../gateway/answer.ts';
import { factsOf } from '../row.ts';
import { queryTokenOfMessage, type UnconfirmedMessage } from './unconfirmed-message.ts';

/** The changes that a claim may lead to once the gateway confirms it. */
export const claimEvents = [...answerEvents, 'evidence.pending'] as const;

type ClaimContext = JobContext<(typeof claimEvents)[number]>;

/**
 * Queries the gateway because of an unproven message about a tokenization without a usable token,
 * and records the answer. The message itself writes nothing, so an unverified sender can neither
 * fill the audit trail nor restart the query schedule.
 */
export async function verifyClaim(
  unconfirmed: UnconfirmedMessage,
  context: ClaimContext,
): Promise<Outcome> {
  const { row, message, receivedAt, audit } = unconfirmed;
  const shared = await queryForClaim(unconfirmed, await databaseNow(context.db), context);
  if ('waitMs' in shared) return snooze(shared.waitMs, 'query_rate_limited');
  const { answer, askedAt } = shared;
  // The answer is as old as its query: a deadline that passed since then does not count.
  const decision = decideOnClaim(factsOf(row, askedAt), message, answer);
  const isSettled =
    decision !== undefined && (decision.event !== undefined || !decision.needsQuery);
  // Once the query schedule is over, only the job of this message queries until there is a result.
  if (decision === undefined || (!isSettled && row.reconcile_at === null)) {
    const ageMs = askedAt.getTime() - receivedAt.getTime();
    return answer.says === 'unknown'
      ? retryWhileUnanswered(context.settings, message, ageMs)
      : retryUntilConfirmed(context.settings, ageMs);
  }
  if (decision.event !== 'evidence.pending') {
    return await recordAnswer(row, answer, { ...context, now: askedAt });
  }
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: decision.event,
    patch: deadlineExtensionPatch(context.settings),
    audit: { ...audit, detail: { deadlineExtended: true } },
  });
  return committed(outcome, decision.reason);
}

/**
 * Unproven messages share one answer about the current attempt. A signed message about an abandoned
 * attempt gets its own query.
 */
async function queryForClaim(
  unconfirmed: UnconfirmedMessage,
  now: Date,
  context: ClaimContext,
): Promise<CoalescedAnswer> {
  const { row, message, receivedAt: since } = unconfirmed;
  if (message.isSigned && message.isAbandonedAttempt) {
    return { answer: await queryEarlierAttempt(unconfirmed, context), askedAt: now };
  }
  const question = { name: `outcome ${row.id} ${row.attempt}`, since, now };
  return await context.coalescedQueries.ask(question, async () => await queryOutcome(row, context));
}

/**
 * An earlier attempt may share its reference with the current one, so it is queried by its QuickPay
 * ID.
 */
async function queryEarlierAttempt(
  unconfirmed: UnconfirmedMessage,
  context: ClaimContext,
): Promise<Answer> {
  const earlier = await queryTokenOfMessage(unconfirmed, context);
  return earlier.says === 'success' ? earlier : await queryOutcome(unconfirmed.row, context);
}

/** The columns that give the customer the whole deadline again. */
export function deadlineExtensionPatch(settings: JobSettings) {
  return {
    is_deadline_extended: true,
    deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
  } as const;
}
