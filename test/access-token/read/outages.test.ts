import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type KyselyPlugin, sql } from 'kysely';
import { describe, expect, vi } from 'vitest';
import { openDatabase } from '../../../src/db/connection/database.ts';
import { isDatabaseOutage } from '../../../src/db/connection/faults.ts';
import type { AppError } from '../../../src/domain/errors.ts';
import { tokenPlace } from '../../../src/access-token/row.ts';
import {
  type AccessTokenReader,
  createAccessTokenReader,
} from '../../../src/access-token/read/reader.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { holdAnswersOf } from '../../support/faults/held-answers.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';
import { test, type TokenHarness } from '../../support/harness/token-harness.ts';
import { shop, withReader } from '../../support/harness/token-reader.ts';

describe('a reader', () => {
  test('returns a valid token at once while PostgreSQL hangs, and queries PostgreSQL again once it answers', async ({
    openTokenHarness,
    databaseUrl,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const proxy = await openPostgresProxy(databaseUrl);
    const own = await openDatabase({ url: proxy.url, poolSizeMax: 2, statementTimeoutMs: 500 });
    const outcomes: string[] = [];
    const reader = createAccessTokenReader({
      ...harness.dependencies,
      db: own.db,
      isSubscribed: () => false,
      onRead: (outcome) => outcomes.push(outcome),
    });
    await reader.read('cards', shop);
    proxy.setMode('black_hole');
    const startedAt = performance.now();
    const unknown = expect(reader.read('others', shop)).rejects.toSatisfy(isDatabaseOutage);
    for (let reads = 0; reads < 50; reads += 1) await reader.read('cards', shop);
    // The first read waits 250 ms to see whether it hangs, and no other does.
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(outcomes).toEqual(['database', ...Array.from({ length: 50 }, () => 'outage')]);
    await unknown;
    expect(outcomes.at(-1)).toBe('no_database');
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    proxy.setMode('pass');
    await eventually('an answer of PostgreSQL', async () => {
      await reader.read('cards', shop);
      return outcomes.at(-1) === 'database';
    });
    await reader.close();
    await own.close();
    await proxy.close();
  });

  test('returns a valid token although its row cannot be unsealed, unless the credential was removed', async ({
    openTokenHarness,
    database,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const outcomes: string[] = [];
    const readerOf = (): AccessTokenReader =>
      createAccessTokenReader({
        ...harness.dependencies,
        isSubscribed: () => false,
        onRead: (outcome) => outcomes.push(outcome),
      });
    const [reader, newcomer] = [readerOf(), readerOf()];
    await reader.read('cards', shop);
    // A worker with the next encryption key has renewed it, and this process does not have that key
    // yet.
    const { id } = await harness.row('cards');
    const next = createKeyring([generateEncryptionKey('k2')]);
    const sealed = next.seal(tokenPlace('access_token_sealed', id), 'newer');
    await sql`update access_token set access_token_sealed = ${sealed}, generation = 2 where id = ${id}`.execute(
      database.db,
    );
    expect(await reader.read('cards', shop)).toMatchObject({ generation: 1 });
    await expect(newcomer.read('cards', shop)).rejects.toMatchObject({ code: 'key_unknown' });
    await harness.remove('cards');
    await expect(reader.read('cards', shop)).rejects.toMatchObject({
      code: 'credential_not_found',
    });
    expect(outcomes).toEqual(['database', 'outage', 'fault', 'not_found']);
    await reader.close();
    await newcomer.close();
  });

  test('returns the new token although the notification was lost: after a report, after a reconnect, and with time', async ({
    openTokenHarness,
    databaseUrl,
  }) => {
    const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
    await harness.add('others', 'app-2');
    await harness.renew('others');
    const proxy = await openPostgresProxy(databaseUrl);
    const { reader, outcomes, faults } = await withReader(harness, proxy.url);
    const renewed = async (): Promise<void> => {
      await harness.makeDue('cards');
      expect(await harness.renew('cards')).toBe('refreshed');
    };
    const read = async () => {
      const { generation } = await reader.read('cards', shop);
      return [generation, outcomes.at(-1)];
    };
    proxy.setMode('no_notifications');
    await renewed();
    expect(await read()).toEqual([1, 'memory']);
    reader.invalidate('cards', 0);
    expect(await read()).toEqual([1, 'memory']);
    reader.invalidate('cards', 1);
    expect(await read()).toEqual([2, 'database']);

    await renewed();
    expect(await read()).toEqual([2, 'memory']);
    proxy.cut();
    await eventually('the break is noticed', () => faults.length > 0);
    // Seen by another token, so that this one is not loaded again.
    await eventually('it listens again', async () => {
      await reader.read('others', shop);
      return outcomes.at(-1) === 'memory';
    });
    expect(await read()).toEqual([3, 'database']);

    await eventually('memory again', async () => (await read())[1] === 'memory');
    await proxy.close();
    await renewed();
    expect(await read()).toEqual([4, 'database']);
    await reader.close();
  });

  test('enqueues a renewal even if it becomes due only during the wait', async ({
    openTokenHarness,
    database,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    await harness.expire('cards');
    const { id } = await harness.row('cards');
    await sql`update access_token set due_at = clock_timestamp() + interval '600 ms' where id = ${id}`.execute(
      database.db,
    );
    const reader = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
    const reading = reader.read('cards', shop);
    await eventually('a renewal was asked for', async () => {
      const rows = await database.db.selectFrom('outbox').select('payload').execute();
      return rows.some(({ payload }) => payload['generation'] === 1);
    });
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('refreshed');
    expect(await reading).toMatchObject({ generation: 2 });
    await reader.close();
  });
});

test('a reader of an expired token stops waiting after five seconds, even if PostgreSQL begins to hang', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  const held = holdAnswersOf(harness.dependencies.db);
  const asked = Promise.withResolvers<void>();
  const outcomes: string[] = [];
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const reader = createAccessTokenReader({
      ...harness.dependencies,
      db: held.db,
      isSubscribed: () => false,
      onRead: (outcome) => outcomes.push(outcome),
      onJobsWritten: asked.resolve,
    });
    const reading = reader.read('cards', shop).catch(({ code }: AppError) => code);
    await asked.promise;
    held.hold();
    await vi.advanceTimersByTimeAsync(4_900);
    expect(outcomes).toEqual([]);
    await vi.advanceTimersByTimeAsync(400);
    expect(outcomes).toEqual(['unavailable']);
    expect(await reading).toBe('access_token_unavailable');
  } finally {
    vi.useRealTimers();
    held.release();
  }
});

/** A reader with a subscription and a clock of the test's own. */
async function withClock(harness: TokenHarness, db = harness.dependencies.db) {
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const clock = { nowMs: 0 };
  const outcomes: string[] = [];
  const reader = createAccessTokenReader({
    ...harness.dependencies,
    db,
    isSubscribed: () => true,
    onRead: (outcome) => outcomes.push(outcome),
    now: () => clock.nowMs,
  });
  const read = async (): Promise<unknown> => {
    const { generation } = await reader.read('cards', shop);
    return [generation, outcomes.at(-1)];
  };
  const renew = async (): Promise<void> => {
    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('refreshed');
  };
  return { clock, reader, read, renew };
}

test('a cached token is not returned after it expires, even if PostgreSQL was slow to answer', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const held = holdAnswersOf(harness.dependencies.db);
  const { clock, reader } = await withClock(harness, held.db);
  const { expires_at: expiresAt, read_at: before } = await harness.row('cards');
  const leftMs = (expiresAt?.getTime() ?? 0) - before.getTime();
  held.hold();
  const reading = reader.read('cards', shop);
  clock.nowMs = 4_000;
  held.release();
  const { secondsLeft } = await reading;
  expect(secondsLeft * 1_000).toBeLessThanOrEqual(leftMs - 4_000);
  await reader.close();
});

test('a token that expires while PostgreSQL is answering is loaded again', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const held = holdAnswersOf(harness.dependencies.db);
  const { clock, reader } = await withClock(harness, held.db);
  held.hold();
  const reading = reader.read('cards', shop);
  clock.nowMs = 3_600_000;
  held.release();
  // The answer to the second query counts from the new instant.
  expect((await reading).secondsLeft).toBeGreaterThan(3_000);
  await reader.close();
});

test('a removed token is not cached again when an older query is answered later', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  let isAway = false;
  const held = Promise.withResolvers<void>();
  /** What the next answers wait for. */
  const gates: Promise<void>[] = [];
  const db = harness.dependencies.db.withPlugin({
    transformQuery({ node }) {
      if (isAway) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
      return node;
    },
    async transformResult({ result }) {
      await gates.shift();
      return result;
    },
  });
  const { reader, read } = await withClock(harness, db);
  expect(await read()).toEqual([1, 'database']);
  reader.invalidate('cards', 1);
  gates.push(held.promise);
  const early = read();
  await eventually('the older answer is on its way', () => gates.length === 0);
  await harness.remove('cards');
  reader.onChanged((await harness.row('cards')).id);
  await expect(read()).rejects.toMatchObject({ code: 'credential_not_found' });
  held.resolve();
  await early;
  isAway = true;
  await expect(read()).rejects.toSatisfy(isDatabaseOutage);
  await reader.close();
});

test('after a lost notification, the reader reloads its cache after ten seconds and ignores it after thirty', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const { clock, reader, read, renew } = await withClock(harness);
  expect(await read()).toEqual([1, 'database']);
  await renew();
  clock.nowMs = 9_000;
  expect(await read()).toEqual([1, 'memory']);
  clock.nowMs = 10_000;
  expect(await read()).toEqual([1, 'memory']);
  await eventually('generation 2', async () => isDeepStrictEqual(await read(), [2, 'memory']));
  await renew();
  clock.nowMs += 30_000;
  expect(await read()).toEqual([3, 'database']);
  await reader.close();
});

test('the reader loads a new token when it is notified, before any caller reads it', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const answers = { count: 0 };
  const counting: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      answers.count += 1;
      return await Promise.resolve(result);
    },
  };
  const db = harness.dependencies.db.withPlugin(counting);
  const { reader, read, renew } = await withClock(harness, db);
  await read();
  await renew();
  reader.onChanged((await harness.row('cards')).id);
  await eventually('a load without a read', () => answers.count === 2);
  await new Promise(setImmediate);
  expect(await read()).toEqual([2, 'memory']);
  await reader.close();
});

test('a notification during a query makes the next read query PostgreSQL again', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const { reader, read } = await withClock(harness);
  const early = read();
  reader.onChanged((await harness.row('cards')).id);
  expect(await early).toEqual([1, 'database']);
  expect(await read()).toEqual([1, 'database']);
  expect(await read()).toEqual([1, 'memory']);
  // No entry is known to be of this row.
  reader.onChanged(randomUUID());
  expect(await read()).toEqual([1, 'memory']);
  await reader.close();
});

test('the reader ignores a cached token that has expired, even if its row is unchanged', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  const { clock, reader, read } = await withClock(harness);
  await read();
  clock.nowMs += 3_600_000;
  expect(await read()).toEqual([1, 'database']);
  await reader.close();
});
