import type { CallbackRow } from '../db/rows.ts';
import { judgeJob, type OutboxJob } from '../domain/outbox-job.ts';

const bucketMs = 60_000;

/**
 * The job for a judged message that arrived again, if it is unreadable or came to a request's own
 * URL. A customer may come home twice with the same message, and pay in between. The arrivals of
 * one minute share a job.
 */
export function repeatedArrivalJob(callback: CallbackRow): OutboxJob | undefined {
  const { id, channel, state, last_seen_at: lastSeenAt } = callback;
  // A believed message has settled what it is about: the gateway only repeats its push.
  const isOpen = state === 'rejected' || (state === 'accepted' && callback.is_believed !== true);
  const isAsking = callback.is_addressed || callback.reason === 'unreadable';
  if (!isOpen || !isAsking || callback.tokenization_id === null) return undefined;
  return judgeJob(channel, id, Math.floor(lastSeenAt.getTime() / bucketMs));
}
