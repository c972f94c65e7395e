import { setTimeout } from 'node:timers/promises';
import { expect, inject } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import type { Db } from '../../src/db/connection/database.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import type { TokenizationRequestPayload } from '../../src/domain/payload/job-payloads.ts';
import type { Role } from '../../src/domain/roles.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { makeKey } from '../support/harness/api.ts';
import { requestPayload } from '../support/builders.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import {
  openEnqueuePaths,
  type EnqueuePath,
  type WorkerAddresses,
} from '../support/harness/enqueue-paths.ts';
import { startWorkerProcess } from '../../bench/support/worker-process.ts';
import { freePort } from '../support/services/services.ts';
import { isLongStorm, printStormCounts, stormRequests } from '../support/faults/storm.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const backends = isLongStorm ? 8 : 4;
const batchMax = 8;
/** Long enough that processes start and die while the backends enqueue. */
const pauseMaxMs = isLongStorm ? 40 : 120;
/** A process needs a second of CPU time to start, so the short version starts each slot once. */
const livesMax = isLongStorm ? Infinity : 1;
const lifeMaxMs = isLongStorm ? 3_000 : 800;
const settledWithinMs = isLongStorm ? 900_000 : 60_000;

test(
  `each of ${stormRequests} requests by SQL, queue, API and client is sent once, although processes die`,
  { timeout: settledWithinMs * 2 },
  async ({ databaseUrl, skip }) => {
    const { key, entry } = makeKey('storm');
    const env = {
      API_KEYS: entry,
      API_REQUESTS_PER_MINUTE: '1000000',
      CALLBACK_PUBLIC_URL: 'https://pay.example.com',
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    };
    const worker = await startTestWorker({ databaseUrl, backend: 'redis', env });
    if (worker === undefined) return skip('no Redis');
    // The stack closes the worker while the test still has its database.
    await using stack = new AsyncDisposableStack();
    stack.defer(worker.close);
    const { db } = worker.app.operations;

    const apiPort = String(await freePort());
    const processEnv = {
      ...env,
      ...placesOf(worker, databaseUrl),
      CALLBACK_PORT: '0',
      OPS_PORT: apiPort,
    };
    const over = new AbortController();
    const relayEnv = { ...processEnv, OPS_PORT: '0' };
    const slots = await Promise.all([
      keepRestarting(['relay'], relayEnv, lifeMaxMs, over),
      keepRestarting(['relay'], relayEnv, lifeMaxMs * 1.7, over),
      keepRestarting(['http'], processEnv, lifeMaxMs, over),
      ...(isLongStorm ? [keepRestarting(['worker'], relayEnv, 6_000, over)] : []),
    ]);
    stack.defer(async () => {
      over.abort();
      await Promise.allSettled(slots.map(async (slot) => await slot.deaths));
    });
    const addresses: WorkerAddresses = {
      databaseUrl,
      redisUrl: inject('redisUrl'),
      queuePrefix: worker.prefix,
      apiUrls: [worker.app.urls?.private ?? '', `http://127.0.0.1:${apiPort}`],
      apiKey: key,
    };
    const references = Array.from({ length: stormRequests }, (_, n) => `storm-${n}`);
    const enqueued = await Promise.all(
      Array.from({ length: backends }, async (_, lane) => {
        const own = references.filter((__, n) => n % backends === lane);
        return await enqueueAsBackend(own, lane, addresses, over.signal);
      }),
    );
    over.abort();
    const deaths = await Promise.all(slots.map(async (slot) => await slot.deaths));
    expect(deaths.every(({ killed }) => killed > 0)).toBe(true);

    await eventually(
      'all are active',
      async () => (await countByState(db))['active'] === stormRequests,
      settledWithinMs,
    );
    await eventually('the outbox is empty', async () => (await readOutboxBacklog(db)).rows === 0);
    expect(await countByState(db)).toEqual({ active: stormRequests });
    expect(await listDeadLetters(db, 10)).toEqual([]);
    expect(await findAuditBreaks(db)).toEqual([]);
    const { creations } = worker.sandbox.state();
    expect(creations).toHaveLength(stormRequests);
    expect(new Set(creations.map((creation) => creation.merchantReferenceId)).size).toBe(
      stormRequests,
    );
    expect(await dumpDatabase(databaseUrl)).not.toContain('canary');
    expect(await dumpRedis(worker.prefix)).not.toContain('canary');
    printStormCounts(sumOf([...enqueued, ...deaths]));
  },
);

async function countByState(db: Db): Promise<Readonly<Record<string, number>>> {
  const rows = await db
    .selectFrom('tokenization')
    .select(['state', ({ fn }) => fn.countAll<string>().as('count')])
    .groupBy('state')
    .execute();
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
}

/** The environment of another process on the same database, queues and gateway. */
function placesOf({ sandbox, prefix }: TestWorker, databaseUrl: string) {
  return {
    DATABASE_URL: databaseUrl,
    REDIS_URL: inject('redisUrl'),
    QUEUE_PREFIX: prefix,
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
    REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
    RECONCILE_SCHEDULE_MS: '200,400,800,1600,3200',
  };
}

/**
 * Restarts a process until the storm is over. Two of three are killed at work, the others are
 * stopped. Resolves when the first one is ready.
 */
async function keepRestarting(
  roles: readonly Role[],
  env: Readonly<Record<string, string>>,
  lifeMs: number,
  over: AbortController,
): Promise<{ readonly deaths: Promise<{ killed: number; stopped: number }> }> {
  const first = await startWorkerProcess(env, roles);
  const live = async () => {
    const deaths = { killed: 0, stopped: 0 };
    for (let worker = first; ; worker = await startWorkerProcess(env, roles)) {
      await setTimeout(Math.random() * lifeMs);
      const isKilled = (deaths.killed + deaths.stopped) % 3 !== 1;
      await (isKilled ? worker.kill() : worker.stop());
      deaths[isKilled ? 'killed' : 'stopped'] += 1;
      if (over.signal.aborted || deaths.killed + deaths.stopped === livesMax) return deaths;
    }
  };
  const lives = live();
  // A process that does not start again ends the storm at once.
  lives.catch((error: unknown) => over.abort(error));
  return { deaths: lives };
}

function requestOf(reference: string): TokenizationRequestPayload {
  const payload = requestPayload({ remark: 'sandbox:direct', referenceId: reference });
  return { ...payload, billing: { ...payload.billing, lastname: 'canary' } };
}

/**
 * Enqueues requests as a backend does: in small batches with pauses, each batch by the next of the
 * four paths, and sometimes a request twice. Resolves to the number of requests by path.
 */
async function enqueueAsBackend(
  references: readonly string[],
  firstPath: number,
  addresses: WorkerAddresses,
  over: AbortSignal,
): Promise<Readonly<Record<string, number>>> {
  const { paths, close } = await openEnqueuePaths(addresses);
  const counts: Record<string, number> = { again: 0 };
  const pathAt = (n: number): EnqueuePath => paths[Math.floor(n) % paths.length] as EnqueuePath;
  try {
    let turn = firstPath;
    for (let start = 0; start < references.length; turn += 1) {
      over.throwIfAborted();
      const batch = references.slice(start, start + 1 + Math.floor(Math.random() * batchMax));
      start += batch.length;
      const path = pathAt(turn);
      await path.enqueueAll(batch.map(requestOf));
      counts[path.name] = (counts[path.name] ?? 0) + batch.length;
      if (Math.random() < 0.2) {
        await pathAt(Math.random() * paths.length).enqueueAll(batch.slice(0, 1).map(requestOf));
        counts['again'] = (counts['again'] ?? 0) + 1;
      }
      await setTimeout(Math.random() * pauseMaxMs);
    }
  } finally {
    await close();
  }
  return counts;
}

function sumOf(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const [name, count] of parts.flatMap((part) => Object.entries(part))) {
    sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}
