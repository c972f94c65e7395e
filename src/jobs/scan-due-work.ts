import { findDueCallbacks } from '../db/callbacks.ts';
import { findDueDeliveries } from '../db/deliveries.ts';
import { findDueTokenizations } from '../db/tokenizations.ts';
import { scanPayload } from '../domain/job-payloads.ts';
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
const judgedStates = ['received', 'matched', 'orphaned'] as const;

/**
 * `reconciliation.scan` puts back on its queue whatever Postgres says is due: requests whose job was lost, results that are
 * owed, callbacks without a verdict, orphans that have waited for too long, deliveries whose time has come or that were held. It is what makes Redis disposable. Work
 * that is still waiting has the same job id and is left alone, so a doubled scan does no harm.
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
  const [requested, deliveries, callbacks, owed] = await Promise.all([
    findDueTokenizations(db, 'requested', rowsMax),
    findDueDeliveries(db, rowsMax),
    inEach(judgedStates, async (state) => await findDueCallbacks(db, state, rowsMax)),
    inEach(confirmedStates, async (state) => await findDueTokenizations(db, state, rowsMax)),
  ]);
  return [
    ...requested.map(({ id, version }) => requestJob(id, version)),
    ...owed.map(({ id, version }) => confirmJob(id, version)),
    ...deliveries.map(({ id, version }) => deliveryJob(id, version)),
    ...callbacks.map(({ id, channel, version }) => judgeJob(channel, id, version)),
  ];
}

async function inEach<State, Row>(
  states: readonly State[],
  find: (state: State) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  return (await Promise.all(states.map(find))).flat();
}
