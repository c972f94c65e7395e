import { sql } from 'kysely';
import { expect, onTestFinished } from 'vitest';
import { buryJob } from '../../src/dead-letter/bury.ts';
import { redriveJob } from '../../src/dead-letter/redrive.ts';
import { acceptCallback } from '../../src/callback/accept.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { createTransitionDoor, type ObservableDoor } from '../../src/db/transition-door.ts';
import { jobId } from '../../src/domain/ids.ts';
import {
  deliveryJob,
  type OutboxJob,
  refreshJob,
  requestJob,
} from '../../src/domain/outbox-job.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { openQueueBackend, type QueueBackend } from '../../src/queues/backend.ts';
import { type ClosableHandOver, createHandOver } from '../../src/queues/hand-over.ts';
import { requestConfirmation } from '../../src/tokenization/outcome/request-confirmation.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { disableToken } from '../../src/tokenization/token/disable.ts';
import type { Database } from '../../src/db/connection/database.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { test } from '../support/harness/harness-test.ts';
import { type JobHarness, redirectWithoutPush } from '../support/harness/job-harness.ts';

const logger = createLogger({ level: 'silent' });
const audit = { actor: testActor };
const uuid = '00000000-0000-4000-8000-000000000001';

async function openQueues(databaseUrl: string): Promise<QueueBackend> {
  const backend = await openQueueBackend({ kind: 'postgres', databaseUrl }, () => undefined);
  onTestFinished(backend.close);
  return backend;
}

/** A hand-over to these queues, and a door whose jobs it takes. */
function handOverTo(
  backend: QueueBackend,
  { db }: Database,
): { handOver: ClosableHandOver; door: ObservableDoor } {
  const handOver = createHandOver({ backend, db, logger, onJobsWritten: () => undefined });
  return { handOver, door: createTransitionDoor(db, { handOver }) };
}

test('the job of a change is on its queue after the commit, without an outbox row', async ({
  database,
  databaseUrl,
  openJobHarness,
}) => {
  const { dependencies } = await openJobHarness();
  const backend = await openQueues(databaseUrl);
  const { handOver, door } = handOverTo(backend, database);
  const { tokenization } = await acceptTokenization(
    { ...dependencies, door },
    requestPayload({ referenceId: 'handed-over' }),
    { audit },
  );
  await handOver.close();
  const job = await backend.queue('tokenization').getJob(jobId('request', tokenization.id, 1));
  expect(job?.data).toEqual({ v: 1, tokenizationId: tokenization.id });
  expect((await readOutboxBacklog(database.db)).rows).toBe(0);
});

test('while a queue is unavailable, its jobs wait in the outbox, the postponed ones as long as before', async ({
  database,
  databaseUrl,
}) => {
  const backend = await openQueueBackend({ kind: 'postgres', databaseUrl }, () => undefined);
  await backend.close();
  const { handOver } = handOverTo(backend, database);
  handOver.take([requestJob(uuid, 1), { ...deliveryJob(uuid, 1), delayMs: 3_600_000 }]);
  await handOver.close();
  const rows = await database.db
    .selectFrom('outbox')
    .select(['job_id', sql<boolean>`not_before > now() + interval '50 minutes'`.as('isPostponed')])
    .orderBy('job_id')
    .execute();
  expect(rows).toEqual([
    { job_id: jobId('deliver', uuid, 1), isPostponed: true },
    { job_id: jobId('request', uuid, 1), isPostponed: false },
  ]);
});

test('a job that no scan of due work could find again keeps its outbox row', async ({
  database,
  databaseUrl,
}) => {
  const { handOver } = handOverTo(await openQueues(databaseUrl), database);
  expect(handOver.takes(refreshJob(uuid, 1, 'default'))).toBe(false);
  expect(handOver.takes({ ...deliveryJob(uuid, 1), delayMs: 1 })).toBe(false);
  expect(handOver.takes(requestJob(uuid, 1))).toBe(true);
});

test('a redriven dead letter, whose payload may hold content, goes through the outbox', async ({
  database,
  databaseUrl,
  openJobHarness,
}) => {
  const { dependencies } = await openJobHarness();
  const { handOver, door } = handOverTo(await openQueues(databaseUrl), database);
  const job = { queue: 'tokenization', name: 'tokenization.request', id: 'content', attempt: 1 };
  const letter = await buryJob(
    dependencies,
    job,
    { canary: true },
    { code: 'internal', paths: [] },
  );
  await redriveJob({ ...dependencies, door }, letter, audit);
  await handOver.close();
  expect((await readOutboxBacklog(database.db)).rows).toBe(1);
});

test('the scan enqueues every kind of job that is lost between the commit and its queue', async ({
  database: { db },
  openJobHarness,
}) => {
  const harness = await openJobHarness();
  const lost: OutboxJob[] = [];
  const door = createTransitionDoor(db, {
    isAnnouncing: true,
    handOver: { takes: () => true, take: (jobs) => lost.push(...jobs) },
  });
  const dependencies = { ...harness.dependencies, door };

  const expectFound = async (kinds: readonly string[], foundAs = kinds): Promise<void> => {
    const ids = lost.splice(0).map((job) => job.jobId);
    expect(ids.map((id) => id.split('-')[0])).toEqual(kinds);
    const found = await scan(harness);
    const wanted = ids.map((id, index) => id.replace(/^\w+/, foundAs[index] ?? ''));
    expect(found).toEqual(expect.arrayContaining(wanted));
  };

  const { tokenization } = await acceptTokenization(
    dependencies,
    requestPayload({ referenceId: 'lost', remark: redirectWithoutPush }),
    { audit },
  );
  const { id } = tokenization;
  await expectFound(['request']);

  await harness.run('tokenization.request', { tokenizationId: id }, dependencies);
  await expectFound(['deliver']);

  await requestConfirmation(dependencies, id, audit);
  await expectFound(['confirm']);

  for (const channel of ['notify', 'redirect'] as const) {
    const { account, terminal } = harness.account;
    const fields = { account, terminal, merchant_reference_id: 'lost', quickpay_status: '-1' };
    await acceptCallback(dependencies, {
      channel,
      contentType: 'application/x-www-form-urlencoded',
      body: Buffer.from(new URLSearchParams(fields).toString()),
      sourceIp: undefined,
    });
  }
  await expectFound(['notify', 'callback']);

  await harness.decide(id, 'approve');
  await harness.makeDue(id);
  await harness.confirm(id);
  lost.length = 0;
  await disableToken(dependencies, { v: 1, tokenizationId: id }, audit);
  // The query of a token that is being disabled also cancels it.
  await expectFound(['disable'], ['confirm']);
});

/** Lets all waits pass, runs the scan, and returns the ids of the jobs that it enqueues. */
async function scan({ run, dependencies }: JobHarness): Promise<readonly string[]> {
  await sql`
    with tokenizations as (update tokenization set reconcile_at = now()
        where reconcile_at is not null),
      callbacks as (update callback set due_at = now() where due_at is not null)
    update delivery set due_at = now() where due_at is not null`.execute(dependencies.db);
  const found: string[] = [];
  await run(
    'reconciliation.scan',
    {},
    {
      ...dependencies,
      enqueue: async (jobs) => {
        found.push(...jobs.map((job) => job.jobId));
        await Promise.resolve();
      },
    },
  );
  return found;
}
