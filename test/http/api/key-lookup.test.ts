import { afterEach, describe, expect, vi } from 'vitest';
import { listActiveApiKeys } from '../../../src/db/api-keys.ts';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import type { Db } from '../../../src/db/connection/database.ts';
import {
  createKeyLookup,
  keysMaxStaleMs,
  keysMaxStaleOnErrorMs,
  type KnownKey,
} from '../../../src/http/api/key-lookup.ts';
import { addApiKey, revokeApiKey } from '../../../src/http/api/store-api-key.ts';
import { testActor } from '../../support/builders.ts';
import { makeKey } from '../../support/harness/api.ts';
import { test } from '../../support/harness/fixtures.ts';

const storedKeys = async (db: Db) =>
  (await listActiveApiKeys(db)).map(({ name, key_sha256: sha256, scopes }) => ({
    name,
    sha256,
    scopes,
  }));

afterEach(() => {
  vi.useRealTimers();
});

describe('key lookup', () => {
  test('finds an added key at once and refuses a revoked one within seconds', async ({
    database,
    door,
  }) => {
    const operations = { db: database.db, door };
    const clock = { aheadMs: 0 };
    const lookup = createKeyLookup(
      async () => await storedKeys(database.db),
      [],
      () => performance.now() + clock.aheadMs,
    );
    const add = async (name: string) =>
      (await addApiKey(operations, { name, scopes: ['read'] }, testActor)).reveal();
    const old = await add('shop-1');
    expect((await lookup.find(old))?.name).toBe('shop-1');
    const next = await add('shop-2');
    expect((await lookup.find(next))?.name).toBe('shop-2');
    await revokeApiKey(operations, 'shop-1', testActor);
    await revokeApiKey(operations, 'shop-1', testActor);
    clock.aheadMs += keysMaxStaleMs;
    expect(await lookup.find(old)).toBeUndefined();
    expect((await lookup.find(next))?.name).toBe('shop-2');
    await expect(add('shop-1')).rejects.toMatchObject({ code: 'state_forbids' });
    await expect(add('No Name')).rejects.toMatchObject({ code: 'payload_invalid' });
    await expect(revokeApiKey(operations, 'absent', testActor)).rejects.toMatchObject({
      code: 'api_key_not_found',
    });
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('lets unknown keys that wait share one re-read of the stored keys', async () => {
    const reads = { count: 0 };
    const lookup = createKeyLookup(async () => {
      reads.count += 1;
      return await Promise.resolve([]);
    }, []);
    const guesses = Array.from({ length: 100 }, (_, index) => `tlw_${index}`);
    const found = await Promise.all(guesses.map(async (guess) => await lookup.find(guess)));
    expect(new Set(found)).toEqual(new Set([undefined]));
    expect(reads.count).toBe(2);
    await lookup.find('tlw_late', { isCachedOnly: true });
    expect(reads.count).toBe(2);
  });

  test('makes one read at a time while the database hangs, however many unknown keys come', async () => {
    vi.useFakeTimers();
    const reads = { count: 0, underWay: 0, max: 0 };
    const lookup = createKeyLookup(
      async () => {
        if (reads.count > 0) {
          reads.underWay += 1;
          reads.max = Math.max(reads.max, reads.underWay);
          // As a pooled connection: given up only by the statement timeout.
          await new Promise((resolve) => setTimeout(resolve, 30_000));
          reads.underWay -= 1;
        }
        reads.count += 1;
        return [];
      },
      [],
      () => performance.now(),
    );
    await lookup.hasAny();
    const guesses: Promise<unknown>[] = [];
    for (let index = 0; index < 20; index += 1) {
      guesses.push(lookup.find(`tlw_${index}`).catch(() => undefined));
      await vi.advanceTimersByTimeAsync(270);
    }
    expect(reads.max).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    await Promise.all(guesses);
  });

  test('refuses a revoked key in time while unknown keys come faster than a read takes', async () => {
    vi.useFakeTimers();
    const own = makeKey('own');
    const sha256 = own.entry.split(':')[1] ?? '';
    let keys: readonly KnownKey[] = [{ name: 'own', sha256, scopes: ['read'] }];
    const lookup = createKeyLookup(
      async () => {
        const stored = keys;
        await new Promise((resolve) => setTimeout(resolve, 600));
        return stored;
      },
      [],
      () => performance.now(),
    );
    const found = lookup.find(own.key);
    await vi.advanceTimersByTimeAsync(600);
    expect((await found)?.name).toBe('own');
    keys = [];
    const guesses: Promise<unknown>[] = [];
    for (let waitedMs = 0; waitedMs < keysMaxStaleMs; waitedMs += 60) {
      guesses.push(lookup.find(`tlw_${waitedMs}`).catch(() => undefined));
      await vi.advanceTimersByTimeAsync(60);
    }
    expect(await lookup.find(own.key, { isCachedOnly: true })).toBeUndefined();
    await vi.advanceTimersByTimeAsync(10_000);
    await Promise.all(guesses);
  });

  test('finds known keys for ten minutes of a database outage, and throws for unknown ones', async () => {
    const stored = makeKey('stored');
    const sha256 = stored.entry.split(':')[1] ?? '';
    const key = { name: 'stored', sha256, scopes: ['read'] as const };
    const away = async (): Promise<never> => await Promise.reject(new Error('away'));
    const hangs = async (): Promise<never> => await new Promise(() => undefined);
    const clock = { aheadMs: 0 };
    const database: { read: () => Promise<readonly (typeof key)[]> } = { read: away };
    const lookup = createKeyLookup(
      async () => await database.read(),
      [],
      () => performance.now() + clock.aheadMs,
    );
    const isFound = async (): Promise<boolean> => (await lookup.find(stored.key)) !== undefined;
    await expect(isFound()).rejects.toThrow('away');
    database.read = async () => await Promise.resolve([key]);
    expect(await isFound()).toBe(true);

    database.read = away;
    clock.aheadMs += keysMaxStaleOnErrorMs / 2;
    expect(await isFound()).toBe(true);
    await expect(lookup.find(makeKey('unknown').key)).rejects.toThrow('away');
    clock.aheadMs += keysMaxStaleOnErrorMs / 2;
    await expect(isFound()).rejects.toThrow('away');

    database.read = async () => await Promise.resolve([key]);
    expect(await isFound()).toBe(true);
    database.read = hangs;
    clock.aheadMs += keysMaxStaleMs;
    const startedAt = performance.now();
    for (let finds = 0; finds < 50; finds += 1) expect(await isFound()).toBe(true);
    // The first read waits 250 ms to see whether it hangs, and no other does.
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  test('refuses a key that was revoked after the database hung, once the database answers again', async () => {
    vi.useFakeTimers();
    const stored = makeKey('stored');
    const sha256 = stored.entry.split(':')[1] ?? '';
    const database = { keys: [{ name: 'stored', sha256, scopes: ['read'] as const }], answerMs: 5 };
    const lookup = createKeyLookup(
      async () => {
        const { keys, answerMs } = database;
        await new Promise((resolve) => setTimeout(resolve, answerMs));
        if (answerMs > 5) throw new Error('away');
        return keys;
      },
      [],
      () => performance.now(),
    );
    const isFound = async (): Promise<boolean> => {
      const finding = lookup.find(stored.key, { isCachedOnly: true });
      await vi.advanceTimersByTimeAsync(250);
      return (await finding) !== undefined;
    };
    expect(await isFound()).toBe(true);
    await vi.advanceTimersByTimeAsync(keysMaxStaleMs);
    database.answerMs = 300;
    expect(await isFound()).toBe(true);
    await vi.advanceTimersByTimeAsync(300);
    database.answerMs = 5;
    database.keys = [];
    await vi.advanceTimersByTimeAsync(keysMaxStaleMs);
    expect(await isFound()).toBe(false);
  });

  test('refuses during an outage a key that was revoked before it', async () => {
    const stored = makeKey('stored');
    const sha256 = stored.entry.split(':')[1] ?? '';
    const clock = { aheadMs: 0 };
    const answers = [
      [{ name: 'stored', sha256, scopes: ['read'] as const }],
      [{ name: 'other', sha256: '00'.repeat(32), scopes: ['read'] as const }],
    ];
    const lookup = createKeyLookup(
      async () => await Promise.resolve(answers.shift() ?? Promise.reject(new Error('away'))),
      [],
      () => performance.now() + clock.aheadMs,
    );
    expect(await lookup.find(stored.key)).toBeDefined();
    clock.aheadMs += keysMaxStaleMs;
    await expect(lookup.find(stored.key)).rejects.toThrow('away');
    clock.aheadMs += keysMaxStaleMs;
    await expect(lookup.find(stored.key)).rejects.toThrow('away');
  });
});
