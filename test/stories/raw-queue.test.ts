import { randomUUID } from 'node:crypto';
import { type JobsOptions, Queue } from 'bullmq5';
import { Redis } from 'ioredis';
import { describe, expect, inject } from 'vitest';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { findTokenizationsByMerchantReference } from '../../src/db/tokenizations.ts';
import { backendJobs, type BackendJobName } from '../../src/domain/payload/backend-jobs.ts';
import { requestPayload } from '../support/builders.ts';
import { setAway } from '../support/services/database.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { test as workerTest } from '../support/harness/worker-test.ts';

const env = { CALLBACK_PUBLIC_URL: 'https://pay.example.com' };

/** Tests in which BullMQ 5, with its own ioredis 5, adds jobs to the queues of a worker. */
const test = workerTest.extend('bullmq5', async ({}, { onCleanup }) => {
  const queues: Queue[] = [];
  onCleanup(async () => {
    await Promise.all(queues.map(async (queue) => await queue.close()));
  });
  return ({ prefix }: TestWorker) => {
    const connection = { url: inject('redisUrl') };
    const names = new Set(Object.values(backendJobs).map(({ queue }) => queue));
    const byName = new Map(
      [...names].map((name) => [name, new Queue(name, { connection, prefix })]),
    );
    queues.push(...byName.values());
    return {
      add: async (name: BackendJobName, payload: unknown, options: JobsOptions = {}) => {
        const queue = name in backendJobs ? backendJobs[name].queue : 'tokenization';
        const job = await byName.get(queue)?.add(name, payload, options);
        if (job === undefined) throw new Error('there is no such queue');
        return job;
      },
    };
  };
});

/** A request whose personal data can be found in a dump. */
function requestWithCanary(referenceId: string) {
  const payload = requestPayload({ remark: 'sandbox:direct', referenceId });
  return {
    ...payload,
    billing: { ...payload.billing, lastname: 'canary', email: 'canary@example.com' },
    customer: { id: 'canary-customer' },
  };
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

describe('jobs that BullMQ 5 adds', () => {
  test('finished jobs leave Redis, whatever their producer wants to keep', async ({
    startWorker,
    bullmq5,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
    const gone = { v: 1, tokenizationId: randomUUID() };
    await Promise.all(
      Array.from(
        { length: 1_100 },
        async () =>
          await client.add('tokenization.request', gone, {
            removeOnComplete: false,
            removeOnFail: false,
          }),
      ),
    );
    const queue = worker.app.backend.queue('tokenization');
    await eventually('all jobs are done', async () => {
      const counts = await queue.getJobCounts('wait', 'active', 'completed');
      return counts['wait'] === 0 && counts['active'] === 0 && counts['completed'] !== 0;
    });
    expect(await queue.getCompletedCount()).toBeLessThanOrEqual(1_000);
  });

  test('a job is done after any number of starts, and one that stalls too often is a dead letter', async ({
    startWorker,
    bullmq5,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
    const queue = worker.app.backend.queue('tokenization');
    await queue.pause();
    const patient = await client.add('tokenization.request', requestWithCanary('o-1'));
    const poison = await client.add('tokenization.request', requestWithCanary('o-2'));
    const redis = new Redis(inject('redisUrl'));
    await redis.hset(`${worker.prefix}:tokenization:${patient.id}`, 'ats', 20_000);
    await redis.hset(`${worker.prefix}:tokenization:${poison.id}`, 'stc', 4);
    await queue.resume();
    await untilState(worker, 'o-1', 'active');
    expect(await untilBuried(worker, 1)).toMatchObject([
      { code: 'job_stalled', job_id: poison.id },
    ]);
    await eventually('the job has failed', async () => await poison.isFailed());
    await redis.quit();
    expect(await dumpRedis(worker.prefix)).not.toContain('canary');
  });

  test('a worker runs every job that BullMQ 5 adds, and removes its content from Redis', async ({
    startWorker,
    bullmq5,
    databaseUrl,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
    const { db } = worker.app.operations;
    const about = `account=${worker.account.account}&terminal=${worker.account.terminal}&quickpay_status=1&note=canary`;

    const jobs = [
      await client.add('tokenization.request', requestWithCanary('o-1')),
      await client.add('tokenization.request', requestWithCanary('o-2'), {
        delay: 150,
        attempts: 3,
      }),
      await client.add('tokenization.request', requestWithCanary('o-3'), { priority: 7 }),
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

  test('an invalid payload goes to the dead letters with its paths, and its content leaves Redis', async ({
    startWorker,
    bullmq5,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
    const good = requestWithCanary('o-1');
    const bad = [
      await client.add('tokenization.request', { ...good, v: 2 }),
      await client.add('tokenization.request', {
        ...good,
        order: { ...good.order, currency: 'canary' },
      }),
      await client.add('notify.handle', { v: 1, body: 5, canary: 'canary' }),
      await client.add('callback.verify', 'canary'),
      // A job of another queue, whose BullMQ options allow one attempt only.
      await client.add(
        'token.disable',
        { v: 1, merchantReferenceId: 'canary!', credential: 'missing' },
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

  test('content leaves Redis after a PostgreSQL outage, and under names that PostgreSQL cannot store', async ({
    startWorker,
    bullmq5,
    databaseUrl,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
    const bad = { ...requestWithCanary('o-1'), unheardOf: 'canary' };
    await setAway(databaseUrl, true);
    await client.add('tokenization.request', bad);
    await eventually('the burial waits for the end of the outage', () =>
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
    await eventually('Redis holds no content in the clear', async () => {
      return !(await dumpRedis(worker.prefix)).includes('canary');
    });
  });

  test('two jobs that reuse one id on an emptied queue get two dead letters', async ({
    startWorker,
    bullmq5,
  }) => {
    const worker = await startWorker({ backend: 'redis', env });
    const client = bullmq5(worker);
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
});
