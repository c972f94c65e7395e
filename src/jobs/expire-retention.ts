import { deleteExpiredCallbacks, findOldRefusedCallbacks } from '../db/callbacks.ts';
import { scanPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done } from './define-job.ts';

/** Rows that one run removes; what is left waits for the next one. */
const rowsMax = 5_000;

/**
 * `retention.expire` removes what strangers sent to the callback routes: messages that could not be read or name an account
 * that we do not hold. Their audit rows stay.
 */
export const expireRetention = defineJob({
  name: 'retention.expire',
  queue: 'maintenance',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 5, baseMs: 10_000, capMs: 600_000 }),
  timeoutMs: 60_000,
  isRepeating: true,
  emits: ['callback.expired'],
  async run(_, { db, apply, settings }) {
    const old = await findOldRefusedCallbacks(db, settings.refusedCallbackMaxAgeMs, rowsMax);
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
    const deleted = await deleteExpiredCallbacks(db);
    return done(deleted > 0 ? 'removed' : 'nothing_due');
  },
});
