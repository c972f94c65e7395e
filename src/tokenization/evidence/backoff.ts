import { type MessageEvidence, rankOf } from '../../domain/evidence.ts';
import { done, type Outcome, snooze } from '../../execution/define-job.ts';
import type { JobSettings } from '../../execution/dependencies.ts';

/** A browser may be faster than the gateway's own records, but not by more than this. */
const patienceMs = 600_000;

/**
 * Keeps a message waiting that the gateway has not borne out (yet): by the steps of the schedule, counted from when the message
 * came `ageMs` ago, until patience is over.
 */
export function retryUntilConfirmed({ reconcileScheduleMs }: JobSettings, ageMs: number): Outcome {
  let stepMs = 0;
  for (const waitMs of reconcileScheduleMs) {
    stepMs = Math.min(stepMs + waitMs, patienceMs);
    if (stepMs > ageMs) return snooze(stepMs - ageMs, 'not_borne_out_yet');
  }
  return done('not_borne_out');
}

/**
 * Keeps a message waiting while the gateway gives no answer that can be read: longer and longer. A proven message is never given
 * up; what a stranger said waits for as long as it is kept.
 */
export function retryWhileUnanswered(
  { unbelievedCallbackMaxAgeMs }: JobSettings,
  message: MessageEvidence,
  ageMs: number,
): Outcome {
  if (rankOf(message) < 2 && ageMs > unbelievedCallbackMaxAgeMs) return done('no_answer');
  return snooze(growing(ageMs, 30_000, 3_600_000), 'no_answer');
}

/** Keeps a message waiting while our own request is on its way, or waits for its turn. */
export function retryWhileSubmitting(ageMs: number): Outcome {
  return snooze(growing(ageMs, 1_000, 60_000), 'request_in_flight');
}

function growing(ageMs: number, minMs: number, maxMs: number): number {
  return Math.round(Math.min(Math.max(ageMs / 2, minMs), maxMs));
}
