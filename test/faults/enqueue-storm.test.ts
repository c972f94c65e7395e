import { Queue } from 'bullmq5';
import { setTimeout } from 'node:timers/promises';
import { expect, inject, onTestFinished } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { countTokenizations } from '../../src/db/tokenizations.ts';
import type { TokenizationRequestPayload } from '../../src/domain/job-payloads.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { requestPayload } from '../support/builders.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { connectEnqueuer } from '../support/enqueuer.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/fixtures.ts';
import { type MortalWorkerData, startMortalWorker } from '../support/mortal-worker.ts';
import { isLongStorm, sayHowRough, stormRequests } from '../support/storm.ts';
import { startTestWorker, type TestWorker } from '../support/worker.ts';

const producers = 4;
const batchMax = 8;
const settledWithinMs = isLongStorm ? 900_000 : 60_000;

test(
  `${stormRequests} requests by SQL and by queue, while relays and workers come and die: each is worked once`,
  { timeout: settledWithinMs * 2 },
  async ({ databaseUrl, skip }) => {
    const env = {
      CALLBACK_PUBLIC_URL: 'https://pay.example.com',
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    };
    const worker = await startTestWorker({ databaseUrl, backend: 'redis', env });
    if (worker === undefined) return skip('no Redis');
    onTestFinished(worker.close);
    const { db } = worker.app.operations;

    const over = new AbortController();
    const dying = Promise.all([
      keepDying({ ...mortal(worker, env, databaseUrl), roles: ['relay'] }, 400, over.signal),
      keepDying({ ...mortal(worker, env, databaseUrl), roles: ['relay'] }, 700, over.signal),
      ...(isLongStorm
        ? [
            keepDying(
              { ...mortal(worker, env, databaseUrl), roles: ['worker'] },
              6_000,
              over.signal,
            ),
          ]
        : []),
    ]);
    const references = Array.from({ length: stormRequests }, (_, n) => `storm-${n}`);
    await Promise.all(
      Array.from({ length: producers }, async (_, lane) => {
        const own = references.filter((__, n) => n % producers === lane);
        await (lane % 2 === 0 ? enqueueBySql(databaseUrl, own) : enqueueByQueue(worker, own));
      }),
    );
    over.abort();
    const { killed, stopped } = (await dying).reduce((sum, one) => ({
      killed: sum.killed + one.killed,
      stopped: sum.stopped + one.stopped,
    }));
    expect(killed).toBeGreaterThan(1);

    await eventually(
      'all are active',
      async () => (await countTokenizations(db))['active'] === stormRequests,
      settledWithinMs,
    );
    await eventually('the outbox is empty', async () => (await readOutboxBacklog(db)).rows === 0);
    expect(await countTokenizations(db)).toEqual({ active: stormRequests });
    expect(await listDeadLetters(db, 10)).toEqual([]);
    expect(await findAuditBreaks(db)).toEqual([]);
    const { creations } = worker.sandbox.state();
    expect(creations).toHaveLength(stormRequests);
    expect(new Set(creations.map((creation) => creation.merchantReferenceId)).size).toBe(
      stormRequests,
    );
    expect(await dumpDatabase(databaseUrl)).not.toContain('canary');
    expect(await dumpRedis(worker.prefix)).not.toContain('canary');
    sayHowRough({ killed, stopped });
  },
);

/** A second worker on the same database, queues and gateway. */
function mortal(
  { sandbox, prefix }: TestWorker,
  env: Readonly<Record<string, string>>,
  databaseUrl: string,
): Omit<MortalWorkerData, 'roles'> {
  return {
    databaseUrl,
    env: {
      ...env,
      DATABASE_URL: databaseUrl,
      REDIS_URL: inject('redisUrl'),
      QUEUE_PREFIX: prefix,
      OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
      OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
      REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
      RECONCILE_SCHEDULE_MS: '200,400,800,1600,3200',
    },
  };
}

/** Starts a worker again and again; two of three are killed in their work, the third is stopped in order. */
async function keepDying(
  data: MortalWorkerData,
  lifeMs: number,
  over: AbortSignal,
): Promise<{ killed: number; stopped: number }> {
  const deaths = { killed: 0, stopped: 0 };
  while (!over.aborted) {
    const worker = await startMortalWorker(data);
    await setTimeout(Math.random() * lifeMs);
    if ((deaths.killed + deaths.stopped) % 3 === 2) {
      await worker.stop();
      deaths.stopped += 1;
    } else {
      await worker.kill();
      deaths.killed += 1;
    }
  }
  return deaths;
}

function requestOf(reference: string): TokenizationRequestPayload {
  const payload = requestPayload({ remark: 'sandbox:direct', referenceId: reference });
  return { ...payload, billing: { ...payload.billing, lastname: 'canary' } };
}

/** How a backend works: some at a time, paced; some transactions roll back first; now and then a request is said twice. */
async function inBatches(
  references: readonly string[],
  enqueue: (batch: readonly string[]) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < references.length;) {
    const batch = references.slice(start, start + 1 + Math.floor(Math.random() * batchMax));
    start += batch.length;
    await enqueue(batch);
    if (Math.random() < 0.2) await enqueue(batch.slice(0, 1));
    await setTimeout(Math.random() * 40);
  }
}

async function enqueueBySql(databaseUrl: string, references: readonly string[]): Promise<void> {
  const { client, enqueue, close } = await connectEnqueuer(databaseUrl);
  try {
    await inBatches(references, async (batch) => {
      const key = Math.random() < 0.5 ? `key-${Math.floor(Math.random() * 10)}` : undefined;
      if (Math.random() < 0.3) {
        await client.query('begin');
        await enqueue('tokenization.request', requestOf(`${batch[0]}-rolled-back`), key);
        await client.query('rollback');
      }
      await client.query('begin');
      for (const reference of batch)
        await enqueue('tokenization.request', requestOf(reference), key);
      await client.query('commit');
    });
  } finally {
    await close();
  }
}

async function enqueueByQueue(
  { prefix }: TestWorker,
  references: readonly string[],
): Promise<void> {
  const { hostname, port, username, password } = new URL(inject('redisUrl'));
  const connection = { host: hostname, port: Number(port || 6379), username, password };
  const queue = new Queue('tokenization', { connection, prefix });
  try {
    await inBatches(references, async (batch) => {
      await queue.addBulk(
        batch.map((reference) => ({ name: 'tokenization.request', data: requestOf(reference) })),
      );
    });
  } finally {
    await queue.close();
  }
}
