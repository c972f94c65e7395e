import { findDueCallbacks } from '../db/callbacks.ts';
import { findDueDeliveries } from '../db/deliveries.ts';
import { findDueTokenizations } from '../db/tokenizations.ts';
import { scanPayload } from '../domain/payload/job-payloads.ts';
import { exponential } from '../domain/retry-policy.ts';
import { defineJob, done, type JobContext } from '../execution/define-job.ts';
import { releaseDeliveries } from '../delivery/release.ts';
import {
  deliveryJob,
  type OutboxJob,
  judgeJob,
  requestJob,
  confirmJob,
} from '../domain/outbox-job.ts';

/** The most rows that one scan enqueues, for each state. */
const rowsMax = 500;

const confirmableStates = [
  'submitting',
  'submit_unknown',
  'confirming',
  'awaiting_customer',
  'expired',
  'failed',
  'active',
  'disabling',
] as const;
const judgeableStates = ['received', 'matched', 'orphaned'] as const;

/**
 * `reconciliation.scan` enqueues the work that is due by PostgreSQL: requests whose job was lost,
 * queries, callbacks without a verdict, orphans that are too old, and deliveries. The queues can
 * therefore be rebuilt after Redis lost them. A job that still waits has the same id, so a second
 * scan adds nothing.
 */
export const scanDueWork = defineJob({
  name: 'reconciliation.scan',
  queue: 'reconciliation',
  payload: scanPayload,
  retry: exponential({ attemptsMax: 1, baseMs: 1_000, capMs: 1_000 }),
  timeoutMs: 15_000,
  isRepeating: true,
  emits: ['delivery.released'],
  async run(_, context) {
    const jobs = await findDueWork(context);
    if (jobs.length > 0) await context.enqueue(jobs);
    const released = await releaseDeliveries(context);
    return done(jobs.length + released > 0 ? 'work_found' : 'nothing_due');
  },
});

async function findDueWork({ db }: Pick<JobContext<never>, 'db'>): Promise<readonly OutboxJob[]> {
  const [requested, deliveries, callbacks, unsettled] = await Promise.all([
    findDueTokenizations(db, 'requested', rowsMax),
    findDueDeliveries(db, rowsMax),
    findInStates(judgeableStates, async (state) => await findDueCallbacks(db, state, rowsMax)),
    findInStates(
      confirmableStates,
      async (state) => await findDueTokenizations(db, state, rowsMax),
    ),
  ]);
  return [
    ...requested.map(({ id, version }) => requestJob(id, version)),
    ...unsettled.map(({ id, version }) => confirmJob(id, version)),
    ...deliveries.map(({ id, version }) => deliveryJob(id, version)),
    ...callbacks.map(({ id, channel, version }) => judgeJob(channel, id, version)),
  ];
}

async function findInStates<State, Row>(
  states: readonly State[],
  find: (state: State) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  return (await Promise.all(states.map(find))).flat();
}
