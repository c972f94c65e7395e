import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import { describe, expect, vi } from 'vitest';
import { openDatabase } from '../../../src/db/database.ts';
import { isDatabaseOutage } from '../../../src/db/faults.ts';
import type { AppError } from '../../../src/domain/errors.ts';
import { createAccessTokenMemory } from '../../../src/access-token/read/cache.ts';
import { tokenPlace } from '../../../src/access-token/row.ts';
import {
  type AccessTokenReader,
  createAccessTokenReader,
} from '../../../src/access-token/read/reader.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { eventually } from '../../support/eventually.ts';
import { holdAnswersOf } from '../../support/faults/held-answers.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';
import { test } from '../../support/harness/token-harness.ts';
import { shop, withReader } from '../../support/harness/token-reader.ts';

describe('a reader', () => {
  test('is not kept waiting by a Postgres that hangs, and comes back to it by itself', async ({
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
    proxy.setMode('black');
    const startedAt = performance.now();
    const unknown = expect(reader.read('others', shop)).rejects.toSatisfy(isDatabaseOutage);
    for (let reads = 0; reads < 50; reads += 1) await reader.read('cards', shop);
    // One waits to see whether it hangs, and none after that.
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    expect(outcomes).toEqual(['database', ...Array.from({ length: 50 }, () => 'outage')]);
    await unknown;
    expect(outcomes.at(-1)).toBe('no_database');
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    proxy.setMode('pass');
    await eventually('an answer of Postgres', async () => {
      await reader.read('cards', shop);
      return outcomes.at(-1) === 'database';
    });
    await reader.close();
    await own.close();
    await proxy.close();
  });

  test('has a valid token in memory whatever Postgres says, unless it says that the credential is gone', async ({
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
    // A worker with the next encryption key has renewed it, and this process does not have that key yet.
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

  test('is right without notifications: while they are lost, after they were, and once a token was refused', async ({
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
    proxy.setMode('deaf');
    await renewed();
    expect(await read()).toEqual([1, 'memory']);
    reader.doubt('cards', 0);
    expect(await read()).toEqual([1, 'memory']);
    reader.doubt('cards', 1);
    expect(await read()).toEqual([2, 'database']);

    await renewed();
    expect(await read()).toEqual([2, 'memory']);
    proxy.cut();
    await eventually('the break is noticed', () => faults.length > 0);
    // Seen by another token, so that nobody looks at this one.
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

  test('asks for a renewal also where it is due only while the reader waits', async ({
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

test('a reader gives up after five seconds, also where Postgres hangs while it waits', async ({
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

test('a token is remembered for no longer than it is valid, however long Postgres took to answer', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const { expires_at: expiresAt, read_at: before } = await harness.row('cards');
  const leftMs = (expiresAt?.getTime() ?? 0) - before.getTime();
  const held = holdAnswersOf(harness.dependencies.db);
  const clock = { nowMs: 0 };
  const memory = createAccessTokenMemory(
    { ...harness.dependencies, db: held.db },
    () => clock.nowMs,
  );
  held.hold();
  const loading = memory.load('cards');
  clock.nowMs = 4_000;
  held.release();
  await loading;
  expect(memory.find('cards')?.remembered.validUntilMs).toBeLessThanOrEqual(leftMs);
});

test('memory is looked at anew as it ages, is not trusted when old, and ends with the token', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await harness.add('cards', 'app-1');
  await harness.renew('cards');
  const clock = { nowMs: 0 };
  const memory = createAccessTokenMemory(harness.dependencies, () => clock.nowMs);
  const found = (): unknown => {
    const { remembered, isTrusted } = memory.find('cards') ?? {};
    return [remembered?.token.generation, isTrusted];
  };
  // A change that is heard while Postgres is asked may be newer than its answer.
  const loading = memory.load('cards');
  memory.forget((await harness.row('cards')).id);
  await loading;
  memory.forget(randomUUID());
  const again = memory.load('cards');
  memory.forget(randomUUID());
  await again;
  expect(found()).toEqual([1, false]);
  await memory.load('cards');
  expect(found()).toEqual([1, true]);

  await harness.makeDue('cards');
  await harness.renew('cards');
  clock.nowMs = 9_000;
  expect(found()).toEqual([1, true]);
  clock.nowMs = 10_000;
  expect(found()).toEqual([1, true]);
  await eventually('the new generation, unheard of', () => isDeepStrictEqual(found(), [2, true]));
  // What is heard of is looked at without waiting for somebody who reads.
  await harness.makeDue('cards');
  await harness.renew('cards');
  memory.forget((await harness.row('cards')).id);
  await eventually('the new generation, heard of', () => isDeepStrictEqual(found(), [3, true]));
  clock.nowMs += 30_000;
  expect(found()).toEqual([3, false]);
  await memory.load('cards');
  expect(found()).toEqual([3, true]);
  // By the clock alone: nothing was heard, and the row says otherwise.
  clock.nowMs += 3_600_000;
  expect(memory.find('cards')).toBeUndefined();
});
