import type { CallbackRow } from '../db/rows.ts';
import { judgeJob, type OutboxJob } from '../domain/outbox-job.ts';

const bucketMs = 60_000;

/**
 * The job for a judged message that arrived again, where its content is no part of what it says:
 * the message is unreadable, or came to a request's own URL. A customer may come home twice, and
 * pay in between. The arrivals of one minute share a job.
 */
export function repeatedArrivalJob(callback: CallbackRow): OutboxJob | undefined {
  const { id, channel, state, last_seen_at: lastSeenAt } = callback;
  const isJudged = state === 'rejected' || state === 'accepted';
  const isAsking = callback.is_addressed || callback.reason === 'unreadable';
  if (!isJudged || !isAsking || callback.tokenization_id === null) return undefined;
  return judgeJob(channel, id, Math.floor(lastSeenAt.getTime() / bucketMs));
}
