import type { CallbackRow } from '../db/rows.ts';
import { done, type JobContext, type Outcome } from '../execution/define-job.ts';
import { readMessage } from '../gateway/callback-message.ts';
import type { evidenceEvents } from '../tokenization/evidence/apply.ts';
import { openEnvelope } from './envelope.ts';
import { queryAboutUnreadable } from './query-about-unreadable.ts';
import { repeatedArrivalJob } from './repeated-arrival.ts';

/**
 * Queries the gateway about a judged message that arrived again, as about a new one. Only the job
 * of the last arrival queries; the verdict stays.
 */
export async function queryAboutRepeatedArrival(
  callback: CallbackRow,
  context: JobContext<(typeof evidenceEvents)[number]>,
): Promise<Outcome> {
  if (repeatedArrivalJob(callback)?.jobId !== context.job.id) return done('already_judged');
  const envelope = openEnvelope(context.keyring, callback);
  const read = readMessage(envelope, context.settings.messages);
  const queries = await queryAboutUnreadable(
    { ...callback, received_at: callback.last_seen_at },
    { envelope, fields: read.ok ? read.message.fields : undefined },
    { ...context, isRepeated: true },
  );
  return queries.kind === 'wait' ? queries.outcome : done('queried_again');
}
