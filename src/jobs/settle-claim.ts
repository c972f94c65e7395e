import { databaseNow } from '../db/database.ts';
import { decideOnClaim, rankOf } from '../domain/evidence.ts';
import { type Answer, askAboutTokenization } from './ask-gateway.ts';
import { beliefOf } from './belief.ts';
import { committed } from './committed.ts';
import { done, type JobContext, type Outcome, snooze } from './define-job.ts';
import type { JobSettings } from './job-dependencies.ts';
import { answerEvents, recordAnswer } from './record-answer.ts';
import { askAbout, type Dispute } from './settle-dispute.ts';

/** The changes that a claim may lead to, once the gateway bears it out. */
export const claimEvents = [...answerEvents, 'evidence.pending'] as const;

type Context = JobContext<(typeof claimEvents)[number]>;

/** A browser may be faster than the gateway's own records, but not by more than this. */
const patienceMs = 600_000;

/**
 * Asks the gateway because of a message about a tokenization without a usable token, and records the answer: of an unproven
 * message, or of a proven one about an earlier attempt. The message itself leaves no trace; so strangers can neither write
 * into the audit trail nor begin the schedule anew.
 */
export async function settleClaim(dispute: Dispute, context: Context): Promise<Outcome> {
  const { row, said, receivedAt, audit } = dispute;
  const now = await databaseNow(context.db);
  const answer =
    rankOf(said) < 2
      ? await context.sharedAnswers.ask(
          { name: `outcome ${row.id}`, since: receivedAt, now },
          async () => await askAboutTokenization(row, context),
        )
      : await askAboutEarlier(dispute, context);
  if ('waitMs' in answer) return snooze(answer.waitMs, 'asked_lately');
  const decision = decideOnClaim(beliefOf(row, now), said, answer);
  if (decision === undefined) {
    return askAgainIn(context.settings, now.getTime() - receivedAt.getTime());
  }
  if (decision.event !== 'evidence.pending') {
    return await recordAnswer(row, answer, { ...context, now });
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

/** An earlier attempt under the same reference may be hidden behind the present one, but its token has an id of its own. */
async function askAboutEarlier(dispute: Dispute, context: Context): Promise<Answer> {
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

/** The steps of the schedule, counted from when the message came, as far as patience goes. */
function askAgainIn({ reconcileScheduleMs }: JobSettings, ageMs: number): Outcome {
  let stepMs = 0;
  for (const waitMs of reconcileScheduleMs) {
    stepMs += waitMs;
    if (stepMs > patienceMs) break;
    if (stepMs > ageMs) return snooze(stepMs - ageMs, 'not_borne_out_yet');
  }
  return done('not_borne_out');
}
