import { findDueCallbacks, findMatchableOrphans } from '../db/callbacks.ts';
import { findDueDeliveries } from '../db/deliveries.ts';
import { findDueTokenizations } from '../db/tokenizations.ts';
import { deliveryJob, type OutboxJob } from '../db/transition-door.ts';
import { scanPayload } from '../domain/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { requestJob } from './accept-tokenization.ts';
import { judgeJob } from './accept-callback.ts';
import { confirmJob } from './apply-evidence.ts';
import { defineJob, done, type JobContext } from './define-job.ts';

/** Rows of one kind that one scan puts on a queue. */
const rowsMax = 500;

const confirmedStates = [
  'submitting',
  'submit_unknown',
  'confirming',
  'awaiting_customer',
  'expired',
  'failed',
  'active',
  'disabling',
] as const;

/**
 * `reconciliation.scan` puts back on its queue whatever Postgres says is due: requests whose job was lost, results that are
 * owed, callbacks without a verdict, orphans whose tokenization has appeared, deliveries whose time has come. It is what makes Redis disposable. Work
 * that is still waiting has the same job id and is left alone, so a doubled scan does no harm.
 */
export const scanReconciliation = defineJob({
  name: 'reconciliation.scan',
  queue: 'reconciliation',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 1, baseMs: 1_000, capMs: 1_000 }),
  timeoutMs: 15_000,
  isRepeating: true,
  emits: [],
  async run(_, context) {
    const jobs = await findDueWork(context);
    if (jobs.length > 0) await context.enqueue(jobs);
    return done(jobs.length > 0 ? 'work_found' : 'nothing_due');
  },
});

async function findDueWork({ db }: JobContext<never>): Promise<readonly OutboxJob[]> {
  const [requested, callbacks, orphans, deliveries, ...owed] = await Promise.all([
    findDueTokenizations(db, 'requested', rowsMax),
    findDueCallbacks(db, rowsMax),
    findMatchableOrphans(db, rowsMax),
    findDueDeliveries(db, rowsMax),
    ...confirmedStates.map((state) => findDueTokenizations(db, state, rowsMax)),
  ]);
  return [
    ...requested.map(({ id, version }) => requestJob(id, version)),
    ...owed.flat().map(({ id, version }) => confirmJob(id, version)),
    ...deliveries.map(({ id, version }) => deliveryJob(id, version)),
    ...[...callbacks, ...orphans].map(({ id, channel, version }) => judgeJob(channel, id, version)),
  ];
}
