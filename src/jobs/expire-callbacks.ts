import {
  deleteExpiredCallbacks,
  deleteRefusedCallbacks,
  findUnbelievedCallbacks,
} from '../db/callbacks.ts';
import { scanPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done, type JobContext } from '../execution/define-job.ts';

type ExpireCallbacksContext = JobContext<'callback.expired'>;

/**
 * Rows in one batch. Few enough that a stopping worker can finish it, and that its locks are short.
 */
const rowsMax = 1_000;

/**
 * `retention.expire` deletes messages of unverified senders from the inbox. First go messages that
 * were unreadable or named an unknown account; later go unproven ones that were rejected, abandoned
 * or changed nothing. Their audit rows stay. The job deletes batch by batch until no old message is
 * left.
 */
export const expireCallbacks = defineJob({
  name: 'retention.expire',
  queue: 'maintenance',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 5, baseMs: 10_000, capMs: 600_000 }),
  timeoutMs: 30 * 60_000,
  isRepeating: true,
  emits: ['callback.expired'],
  async run(_, context) {
    let removed = 0;
    for (const deleteBatch of [deleteExpiredBatch, deleteRefusedBatch, expireUnprovenBatch]) {
      for (let rows = 1; rows > 0; removed += rows) {
        if (context.signal.aborted) return done('interrupted');
        rows = await deleteBatch(context);
      }
    }
    return done(removed > 0 ? 'removed' : 'nothing_due');
  },
});

/** Deletes messages that an earlier run expired but did not delete before it stopped. */
async function deleteExpiredBatch({ db }: ExpireCallbacksContext): Promise<number> {
  return await deleteExpiredCallbacks(db, rowsMax);
}

async function deleteRefusedBatch({ db, settings }: ExpireCallbacksContext): Promise<number> {
  return await deleteRefusedCallbacks(db, settings.refusedCallbackMaxAgeMs, rowsMax);
}

async function expireUnprovenBatch({
  db,
  apply,
  settings,
}: ExpireCallbacksContext): Promise<number> {
  const ages = {
    ageMs: settings.unbelievedCallbackMaxAgeMs,
    unreadableAgeMs: settings.refusedCallbackMaxAgeMs,
  };
  const old = await findUnbelievedCallbacks(db, ages, rowsMax);
  await Promise.all(
    old.map(
      async (row) =>
        await apply({
          entity: 'callback',
          row,
          event: 'callback.expired',
          audit: { reason: 'retention' },
        }),
    ),
  );
  return old.length === 0 ? 0 : await deleteExpiredCallbacks(db, rowsMax);
}
