import {
  deleteExpiredCallbacks,
  deleteRefusedCallbacks,
  findUnbelievedCallbacks,
} from '../db/callbacks.ts';
import { scanPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done, type JobContext } from '../execution/define-job.ts';

type Context = JobContext<'callback.expired'>;

/** Rows of one batch: few enough that a stop waits for the batch, and no other job for a lock. */
const rowsMax = 1_000;

/**
 * `retention.expire` removes what strangers sent to the callback routes: messages that could not be read or name an account
 * that we do not hold, and later those about an account of ours that were rejected, given up or changed nothing, without a signature that proves them. Their
 * audit rows stay. It goes on, batch by batch, until nothing is left that is old enough.
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
    for (const removeBatch of [removeExpired, removeRefused, expireUnbelieved]) {
      for (let rows = 1; rows > 0; removed += rows) {
        if (context.signal.aborted) return done('interrupted');
        rows = await removeBatch(context);
      }
    }
    return done(removed > 0 ? 'removed' : 'nothing_due');
  },
});

/** What an earlier run expired and could not remove any more. */
async function removeExpired({ db }: Context): Promise<number> {
  return await deleteExpiredCallbacks(db, rowsMax);
}

async function removeRefused({ db, settings }: Context): Promise<number> {
  return await deleteRefusedCallbacks(db, settings.refusedCallbackMaxAgeMs, rowsMax);
}

async function expireUnbelieved({ db, apply, settings }: Context): Promise<number> {
  const old = await findUnbelievedCallbacks(db, settings.unbelievedCallbackMaxAgeMs, rowsMax);
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
