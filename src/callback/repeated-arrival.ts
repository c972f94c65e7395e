import type { CallbackRow } from '../db/rows.ts';
import { judgeJob, type OutboxJob } from '../domain/outbox-job.ts';

const bucketMs = 60_000;

/**
 * The job for a judged message that arrived again, if it is unreadable or came to a per-request
 * URL. A customer's browser may bring the same redirect twice, and the customer may pay in between.
 * The arrivals of one minute share a job.
 */
export function repeatedArrivalJob(callback: CallbackRow): OutboxJob | undefined {
  const { id, channel, state, last_seen_at: lastSeenAt } = callback;
  // A message that was proven or confirmed (`is_believed`) has settled its tokenization: the
  // gateway only repeats its push.
  const isOpen = state === 'rejected' || (state === 'accepted' && callback.is_believed !== true);
  const isAsking = callback.is_addressed || callback.reason === 'unreadable';
  if (!isOpen || !isAsking || callback.tokenization_id === null) return undefined;
  return judgeJob(channel, id, Math.floor(lastSeenAt.getTime() / bucketMs));
}
