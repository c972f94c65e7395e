import { ensureAuditPartitions } from '../db/audit.ts';
import { scanPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done } from '../execution/define-job.ts';

/** `partition.manage` creates the audit table's monthly partitions ahead of time. */
export const managePartitions = defineJob({
  name: 'partition.manage',
  queue: 'maintenance',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 5, baseMs: 10_000, capMs: 600_000 }),
  timeoutMs: 15_000,
  isRepeating: true,
  emits: [],
  async run(_, { db, logger }) {
    const created = await ensureAuditPartitions(db);
    if (created > 0) logger.info({ created }, 'audit partitions created');
    return done(created > 0 ? 'created' : 'nothing_due');
  },
});
