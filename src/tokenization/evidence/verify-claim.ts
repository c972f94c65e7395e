import { databaseNow } from '../../db/database.ts';
import { decideOnClaim } from '../../domain/evidence.ts';
import { retryWhileUnanswered, retryUntilConfirmed } from './backoff.ts';
import { askAboutTokenization } from '../query-gateway.ts';
import { type JobContext, type Outcome, snooze, committed } from '../../execution/define-job.ts';
import type { JobSettings } from '../../execution/dependencies.ts';
import { answerEvents, recordAnswer } from '../outcome/record-answer.ts';
import type { CoalescedAnswer } from '../../gateway/coalesced-queries.ts';
import { askAbout, type Contradiction } from './verify-contradiction.ts';
import type { Answer } from '../../gateway/answer.ts';
import { factsOf } from '../row.ts';

/** The changes that a claim may lead to, once the gateway bears it out. */
export const claimEvents = [...answerEvents, 'evidence.pending'] as const;

type Context = JobContext<(typeof claimEvents)[number]>;

/**
 * Asks the gateway because of an unproven message about a tokenization without a usable token, and records the answer. The
 * message itself leaves no trace; so strangers can neither write into the audit trail nor begin the schedule anew.
 */
export async function verifyClaim(dispute: Contradiction, context: Context): Promise<Outcome> {
  const { row, said, receivedAt, audit } = dispute;
  const shared = await askForClaim(dispute, await databaseNow(context.db), context);
  if ('waitMs' in shared) return snooze(shared.waitMs, 'asked_lately');
  const { answer, askedAt } = shared;
  // What was true when the gateway was asked; by now the customer's time may be over.
  const decision = decideOnClaim(factsOf(row, askedAt), said, answer);
  const isSettled = decision !== undefined && (decision.event !== undefined || !decision.isAsking);
  // Where nothing is scheduled any more the message itself waits for a result.
  if (decision === undefined || (!isSettled && row.reconcile_at === null)) {
    const ageMs = askedAt.getTime() - receivedAt.getTime();
    return answer.says === 'unknown'
      ? retryWhileUnanswered(context.settings, said, ageMs)
      : retryUntilConfirmed(context.settings, ageMs);
  }
  if (decision.event !== 'evidence.pending') {
    return await recordAnswer(row, answer, { ...context, now: askedAt });
  }
  const outcome = await context.apply({
    entity: 'tokenization',
    row,
    event: decision.event,
    ...deadlineExtension(context.settings),
    audit: { ...audit, detail: { deadlineExtended: true } },
  });
  return committed(outcome, decision.reason);
}

/** One answer for all who ask about the same attempt; a signed message about an earlier attempt has a question of its own. */
async function askForClaim(
  dispute: Contradiction,
  now: Date,
  context: Context,
): Promise<CoalescedAnswer> {
  const { row, said, receivedAt: since } = dispute;
  if (said.isSigned && said.isAbandonedAttempt) {
    return { answer: await askAboutEarlier(dispute, context), askedAt: now };
  }
  const question = { name: `outcome ${row.id} ${row.attempt}`, since, now };
  return await context.coalescedQueries.ask(
    question,
    async () => await askAboutTokenization(row, context),
  );
}

/** An earlier attempt under the same reference may be hidden behind the present one, but its token has an id of its own. */
async function askAboutEarlier(dispute: Contradiction, context: Context): Promise<Answer> {
  const named = await askAbout(dispute, context);
  return named.says === 'success' ? named : await askAboutTokenization(dispute.row, context);
}

/** The customer's time begins anew. */
export function deadlineExtension(settings: JobSettings) {
  return {
    patch: {
      is_deadline_extended: true,
      deadline_at_in_ms: settings.awaitingCustomerDeadlineMs,
    },
  } as const;
}
