import { setTimeout } from 'node:timers/promises';
import { expect, inject } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { countTokenizations } from '../../src/db/tokenizations.ts';
import type { TokenizationRequestPayload } from '../../src/domain/job-payloads.ts';
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
/** Long enough that processes come and go while requests are handed over. */
const pauseMaxMs = isLongStorm ? 40 : 120;
/** A process takes a second of a processor to come up: the short version affords one each, the long one lets them live for a while. */
const livesMax = isLongStorm ? Infinity : 1;
const lifeMaxMs = isLongStorm ? 3_000 : 800;
const settledWithinMs = isLongStorm ? 900_000 : 60_000;

test(
  `${stormRequests} requests by SQL, queue, API and client, while processes are killed: each is worked once`,
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
    // In the test itself: a database is taken away before what `onTestFinished` names is run.
    await using stack = new AsyncDisposableStack();
    stack.defer(worker.close);
    const { db } = worker.app.operations;

    const apiPort = String(await freePort());
    const mortalEnv = {
      ...env,
      ...placesOf(worker, databaseUrl),
      CALLBACK_PORT: '0',
      OPS_PORT: apiPort,
    };
    const over = new AbortController();
    const relayEnv = { ...mortalEnv, OPS_PORT: '0' };
    const dying = await Promise.all([
      keepDying(['relay'], relayEnv, lifeMaxMs, over),
      keepDying(['relay'], relayEnv, lifeMaxMs * 1.7, over),
      keepDying(['http'], mortalEnv, lifeMaxMs, over),
      ...(isLongStorm ? [keepDying(['worker'], relayEnv, 6_000, over)] : []),
    ]);
    stack.defer(async () => {
      over.abort();
      await Promise.allSettled(dying.map(async (slot) => await slot.deaths));
    });
    const addresses: WorkerAddresses = {
      databaseUrl,
      redisUrl: inject('redisUrl'),
      queuePrefix: worker.prefix,
      apiUrls: [worker.app.urls?.private ?? '', `http://127.0.0.1:${apiPort}`],
      apiKey: key,
    };
    const references = Array.from({ length: stormRequests }, (_, n) => `storm-${n}`);
    const handedOver = await Promise.all(
      Array.from({ length: backends }, async (_, lane) => {
        const own = references.filter((__, n) => n % backends === lane);
        return await beBackend(own, lane, addresses, over.signal);
      }),
    );
    over.abort();
    const deaths = await Promise.all(dying.map(async (slot) => await slot.deaths));
    expect(deaths.every(({ killed }) => killed > 0)).toBe(true);

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
    printStormCounts(sumOf([...handedOver, ...deaths]));
  },
);

/** What a second worker on the same database, queues and gateway is told. */
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
 * Starts a process, and again and again while the storm is not over; two of three are killed in their work, the others are
 * stopped in order. Resolves when the first one is up.
 */
async function keepDying(
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
  // One that does not come up again ends the storm at once.
  lives.catch((error: unknown) => over.abort(error));
  return { deaths: lives };
}

function requestOf(reference: string): TokenizationRequestPayload {
  const payload = requestPayload({ remark: 'sandbox:direct', referenceId: reference });
  return { ...payload, billing: { ...payload.billing, lastname: 'canary' } };
}

/**
 * A backend hands its requests over some at a time, paced, each batch in the next of the four ways; now and then it says a
 * request again, in any of them. Resolves to how many went which way.
 */
async function beBackend(
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
