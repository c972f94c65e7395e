import { type JobsOptions, Queue } from 'bullmq5';
import { expect, inject, onTestFinished } from 'vitest';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { findTokenizationsByMerchantReference } from '../../src/db/tokenizations.ts';
import { backendJobs, type BackendJobName } from '../../src/domain/backend-jobs.ts';
import { requestPayload } from '../support/builders.ts';
import { setAway } from '../support/services/database.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

/** The queues of a running worker, in the hands of BullMQ 5 with its own ioredis 5. */
function olderClient(prefix: string) {
  const connection = { url: inject('redisUrl') };
  const names = new Set(Object.values(backendJobs).map(({ queue }) => queue));
  const queues = new Map([...names].map((name) => [name, new Queue(name, { connection, prefix })]));
  onTestFinished(async () => {
    await Promise.all([...queues.values()].map(async (queue) => await queue.close()));
  });
  return {
    add: async (name: BackendJobName, payload: unknown, options: JobsOptions = {}) => {
      const queue = name in backendJobs ? backendJobs[name].queue : 'tokenization';
      const job = await queues.get(queue)?.add(name, payload, options);
      if (job === undefined) throw new Error('there is no such queue');
      return job;
    },
  };
}

function plantedRequest(referenceId: string) {
  const payload = requestPayload({ remark: 'sandbox:direct', referenceId });
  return {
    ...payload,
    billing: { ...payload.billing, lastname: 'canary', email: 'canary@example.com' },
    customer: { id: 'canary-customer' },
  };
}

async function start(databaseUrl: string): Promise<TestWorker | undefined> {
  const env = { CALLBACK_PUBLIC_URL: 'https://pay.example.com' };
  const worker = await startTestWorker({ databaseUrl, backend: 'redis', env });
  onTestFinished(async () => await worker?.close());
  return worker;
}

async function untilState({ app }: TestWorker, reference: string, state: string): Promise<void> {
  await eventually(`${reference} becomes ${state}`, async () => {
    const [row] = await findTokenizationsByMerchantReference(app.operations.db, reference);
    return row?.state === state;
  });
}

async function untilBuried({ app }: TestWorker, count: number) {
  return await eventually('all are buried', async () => {
    const found = await listDeadLetters(app.operations.db, 10);
    return found.length === count && found;
  });
}

test('BullMQ 5 adds jobs of every kind, and their content leaves Redis when they are taken', async ({
  databaseUrl,
  skip,
}) => {
  const worker = await start(databaseUrl);
  if (worker === undefined) return skip('no Redis');
  const client = olderClient(worker.prefix);
  const about = `account=${worker.account.account}&terminal=${worker.account.terminal}&quickpay_status=1&note=canary`;

  const jobs = [
    await client.add('tokenization.request', plantedRequest('o-1')),
    await client.add('tokenization.request', plantedRequest('o-2'), { delay: 150, attempts: 3 }),
    await client.add('tokenization.request', plantedRequest('o-3'), { priority: 7 }),
    await client.add('callback.verify', { v: 1, body: `${about}&merchant_reference_id=o-8` }),
    await client.add('notify.handle', {
      v: 1,
      contentType: 'application/x-www-form-urlencoded',
      body: `${about}&merchant_reference_id=o-9`,
      receivedAt: '2026-11-24T08:02:11Z',
      sourceIp: '203.0.113.77',
    }),
    await client.add('access-token.refresh', { v: 1, credential: 'default' }),
  ];
  for (const reference of ['o-1', 'o-2', 'o-3']) await untilState(worker, reference, 'active');
  jobs.push(await client.add('token.disable', { v: 1, merchantReferenceId: 'o-1' }));
  await untilState(worker, 'o-1', 'disabled');

  for (const job of jobs) {
    await eventually(`${job.name} ${job.id} is done`, async () => await job.isCompleted());
  }
  const { db } = worker.app.operations;
  expect(await db.selectFrom('callback').select('channel').orderBy('channel').execute()).toEqual([
    { channel: 'notify' },
    { channel: 'redirect' },
  ]);
  expect(await db.selectFrom('access_token').select('state').execute()).toEqual([
    { state: 'fresh' },
  ]);
  const redis = await dumpRedis(worker.prefix);
  expect(redis).toContain('tokenizationId');
  expect(redis).toContain('callbackId');
  expect(redis).not.toMatch(/canary|203\.0\.113\.77/);
  expect(await dumpDatabase(databaseUrl)).not.toMatch(/canary|203\.0\.113\.77/);
});

test('what BullMQ 5 adds and nobody can read goes to the dead letters, by paths, and leaves Redis', async ({
  databaseUrl,
  skip,
}) => {
  const worker = await start(databaseUrl);
  if (worker === undefined) return skip('no Redis');
  const client = olderClient(worker.prefix);
  const good = plantedRequest('o-1');
  const bad = [
    await client.add('tokenization.request', { ...good, v: 2 }),
    await client.add('tokenization.request', {
      ...good,
      order: { ...good.order, currency: 'canary' },
    }),
    await client.add('notify.handle', { v: 1, body: 5, canary: 'canary' }),
    await client.add('callback.verify', 'canary'),
    // A job of another queue, under options that would give it no second chance.
    await client.add(
      'token.disable',
      { v: 1, merchantReferenceId: 'canary!', credential: 'nobody' },
      { attempts: 1 },
    ),
  ];
  const letters = await untilBuried(worker, bad.length);
  expect(letters.map(({ code, paths }) => [code, ...paths].join(' ')).toSorted()).toEqual([
    'credential_not_found credential',
    'payload_invalid',
    'payload_invalid body *',
    'payload_invalid order.currency',
    'payload_version_unsupported v',
  ]);
  for (const job of bad) {
    await eventually('it failed', async () => await job.isFailed());
  }
  expect(await dumpRedis(worker.prefix)).not.toContain('canary');
});

test('content leaves Redis also where PostgreSQL is away when a job has to be buried, and under names that can not be stored', async ({
  databaseUrl,
  skip,
}) => {
  const worker = await start(databaseUrl);
  if (worker === undefined) return skip('no Redis');
  const client = olderClient(worker.prefix);
  const bad = { ...plantedRequest('o-1'), unheardOf: 'canary' };
  await setAway(databaseUrl, true);
  await client.add('tokenization.request', bad);
  await eventually('it waits for the outage to end', () =>
    worker.logs.join('').includes('could not be put into the dead letters'),
  );
  await setAway(databaseUrl, false);
  await client.add('tokenization.request', bad, { jobId: `x${'y'.repeat(300_000)}` });
  await client.add('no\u0000such.job' as 'tokenization.request', bad);
  const letters = await untilBuried(worker, 3);
  expect(letters.map(({ code }) => code).toSorted()).toEqual([
    'job_unknown',
    'payload_invalid',
    'payload_invalid',
  ]);
  await eventually('nothing is left in the clear', async () => {
    return !(await dumpRedis(worker.prefix)).includes('canary');
  });
});

test('a number that an emptied queue gives out again buries another job, not the same one', async ({
  databaseUrl,
  skip,
}) => {
  const worker = await start(databaseUrl);
  if (worker === undefined) return skip('no Redis');
  const client = olderClient(worker.prefix);
  const { db } = worker.app.operations;
  for (const note of ['one', 'two']) {
    const job = await client.add('notify.handle', { v: 1, note }, { jobId: 'n-1' });
    await eventually('it is buried', async () => {
      return (await job.isFailed()) && (await listDeadLetters(db, 10)).length > 0;
    });
    await job.remove();
  }
  expect(await listDeadLetters(db, 10)).toHaveLength(2);
});
