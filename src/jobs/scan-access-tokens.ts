import { findDueAccessTokens } from '../db/access-tokens.ts';
import type { OutboxJob } from '../db/transition-door.ts';
import { jobId } from '../domain/ids.ts';
import { scanPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done } from './define-job.ts';

/** Credentials that one scan puts on the queue. */
const rowsMax = 1_000;

/**
 * `access-token.scan` finds access tokens whose renewal has come. The repeating schedule only wakes it: what is due is
 * written in Postgres, so a schedule that is late, doubled or missing changes when a scan runs and nothing else.
 */
export const scanAccessTokens = defineJob({
  name: 'access-token.scan',
  queue: 'access-token',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 1, baseMs: 1_000, capMs: 1_000 }),
  timeoutMs: 15_000,
  isRepeating: true,
  emits: [],
  async run(_, { db, enqueue }) {
    const due = await findDueAccessTokens(db, rowsMax);
    const jobs = due.map(({ id, version, generation, credential }): OutboxJob => ({
      queue: 'access-token',
      name: 'access-token.refresh',
      jobId: jobId('refresh', id, version),
      payload: { v: 1, credential, generation },
    }));
    if (jobs.length > 0) await enqueue(jobs);
    return done(jobs.length > 0 ? 'work_found' : 'nothing_due');
  },
});
