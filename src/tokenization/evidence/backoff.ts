import { type MessageEvidence, rankOf } from '../../domain/evidence.ts';
import { done, type Outcome, snooze } from '../../execution/define-job.ts';
import type { JobSettings } from '../../execution/dependencies.ts';

/** The longest time by which a browser may arrive before the gateway's own record is visible. */
const recordDelayMaxMs = 600_000;

/**
 * Retries a message that the gateway does not confirm yet, at the steps of the query schedule.
 * `ageMs` is the time since the message arrived; the retries end after `recordDelayMaxMs`.
 */
export function retryUntilConfirmed({ reconcileScheduleMs }: JobSettings, ageMs: number): Outcome {
  let stepMs = 0;
  for (const waitMs of reconcileScheduleMs) {
    stepMs = Math.min(stepMs + waitMs, recordDelayMaxMs);
    if (stepMs > ageMs) return snooze(stepMs - ageMs, 'not_confirmed_yet');
  }
  return done('not_confirmed');
}

/**
 * Retries a message while the gateway gives no readable answer, with a growing wait. A proven
 * message retries without end; an unproven one as long as retention keeps it.
 */
export function retryWhileUnanswered(
  { unbelievedCallbackMaxAgeMs }: JobSettings,
  message: MessageEvidence,
  ageMs: number,
): Outcome {
  if (rankOf(message) < 2 && ageMs > unbelievedCallbackMaxAgeMs) return done('no_answer');
  return snooze(ageBackoffMs(ageMs, 30_000, 3_600_000), 'no_answer');
}

/** Retries a message while the tokenization's own create request is queued or in flight. */
export function retryWhileSubmitting(ageMs: number): Outcome {
  return snooze(ageBackoffMs(ageMs, 1_000, 60_000), 'request_in_flight');
}

/** Half of the message's age, within bounds. */
function ageBackoffMs(ageMs: number, minMs: number, maxMs: number): number {
  return Math.round(Math.min(Math.max(ageMs / 2, minMs), maxMs));
}
