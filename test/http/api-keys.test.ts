import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { listActiveApiKeys } from '../../src/db/api-keys.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import type { Db } from '../../src/db/database.ts';
import { apiScopes } from '../../src/domain/api-key.ts';
import {
  createKeyLookup,
  keysMaxStaleMs,
  keysMaxStaleOnErrorMs,
} from '../../src/http/api/key-lookup.ts';
import { addApiKey, revokeApiKey } from '../../src/http/api/store-api-key.ts';
import { makeKey, startTestApi } from '../support/harness/api.ts';
import { test } from '../support/harness/api-test.ts';
import { requestPayload, testActor } from '../support/builders.ts';

const anyId = randomUUID();

const storedKeys = async (db: Db) =>
  (await listActiveApiKeys(db)).map(({ name, key_sha256: sha256, scopes }) => ({
    name,
    sha256,
    scopes,
  }));

describe('an API key', () => {
  test('allows the calls of its scopes and no others', async ({ api }) => {
    const { call, addKey } = api;
    const doors = [
      ['enqueue', 'POST', '/v1/callbacks/notify', { body: 'x' }, 202],
      ['read', 'GET', `/v1/tokenizations/${anyId}`, undefined, 404],
      ['read', 'GET', `/v1/tokenizations/${anyId}/timeline`, undefined, 404],
      ['read', 'GET', '/v1/tokenizations?state=active', undefined, 200],
      ['reveal', 'POST', `/v1/tokenizations/${anyId}/reveal`, undefined, 404],
      ['operate', 'POST', `/v1/tokenizations/${anyId}/disable`, undefined, 404],
      ['operate', 'POST', `/v1/tokenizations/${anyId}/confirm`, undefined, 404],
      ['operate', 'GET', '/v1/dead-letters', undefined, 200],
      ['operate', 'POST', `/v1/dead-letters/${anyId}/redrive`, undefined, 404],
    ] as const;
    for (const scope of apiScopes) {
      const key = await addKey(`only-${scope}`, [scope]);
      for (const [needed, method, path, body, status] of doors) {
        const answer = await call(method, path, { key, body });
        if (needed === scope) expect(answer.status, `${path} with ${scope}`).toBe(status);
        else {
          expect(answer.status, `${path} with ${scope}`).toBe(403);
          expect(answer.body).toMatchObject({ code: 'scope_missing', isRetryable: false });
        }
      }
    }
  });

  test('of the environment may be limited to scopes too', async ({ startApi }) => {
    const { key, entry } = makeKey('reader');
    const { call } = await startApi({ API_KEYS: `${entry}:read` });
    expect((await call('GET', '/v1/tokenizations?state=active', { key })).status).toBe(200);
    expect((await call('GET', '/v1/dead-letters', { key })).status).toBe(403);
  });

  test('that is missing, unknown or malformed gets 401, and one without the scope 403', async ({
    api,
  }) => {
    const { call, addKey } = api;
    const path = `/v1/tokenizations/${anyId}`;
    const missing = await call('GET', path, { key: null });
    expect(missing.status).toBe(401);
    expect(missing.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(missing.headers.get('content-type')).toContain('application/problem+json');
    expect(missing.body).toMatchObject({ code: 'api_key_missing', paths: ['authorization'] });
    const good = await addKey('good');
    for (const key of [`${good}x`, good.slice(0, -1), 'tlw_canary', 'x'.repeat(300)]) {
      const unknown = await call('GET', path, { key });
      expect(unknown.status).toBe(401);
      expect(unknown.text).not.toContain('canary');
    }
    const basic = await call('GET', path, {
      key: null,
      headers: { authorization: `Basic ${good}` },
    });
    expect(basic.body.code).toBe('api_key_missing');
  });

  test('is explained in the 401 while no key exists: how to add the first one', async ({
    database,
    door,
  }) => {
    const api = await startTestApi({ db: database.db, door }, { API_KEYS: '' });
    const { call, addKey } = api;
    const path = `/v1/tokenizations/${anyId}`;
    for (const key of [null, 'tlw_some']) {
      const answer = await call('GET', path, { key });
      expect(answer.status).toBe(401);
      expect(answer.body).toMatchObject({
        code: 'api_keys_not_configured',
        detail: expect.stringContaining('api-keys add'),
      });
    }
    // Without a restart.
    expect((await call('GET', path, { key: await addKey('first') })).status).toBe(404);
    await api.close();
  });

  test('is rotated without a restart: the new one works at once, the revoked one is refused within seconds', async ({
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

  test('is stored as a digest alone', async ({ database, door }) => {
    const operations = { db: database.db, door };
    const key = (await addApiKey(operations, { name: 'a', scopes: ['read'] }, testActor)).reveal();
    expect(key).toMatch(/^tlw_[A-Za-z0-9_-]{43}$/);
    const rows = await database.db.selectFrom('api_key').selectAll().execute();
    const audit = await database.db.selectFrom('audit_event').selectAll().execute();
    expect(JSON.stringify({ rows, audit })).not.toContain(key.slice(4));
    expect(audit).toMatchObject([{ event: 'api_key.added', detail: { scopes: ['read'] } }]);
  });

  test('that is unknown causes one read of the stored keys, shared with all other unknown ones', async () => {
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

  test('that is stored works for ten minutes while the database is away or hangs, and an unknown one gets a retryable fault', async () => {
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

  test('that was revoked before an outage is not accepted during it', async () => {
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

describe('limits', () => {
  test('an address with too many bad keys is put off, and good keys from there still work', async ({
    startApi,
  }) => {
    const { call } = await startApi({});
    const path = `/v1/tokenizations/${anyId}`;
    for (let round = 0; round < 3; round += 1) {
      const guesses = Array.from({ length: 10 }, (_, index) => `tlw_${round}_${index}`);
      const answers = await Promise.all(
        guesses.map(async (key) => await call('GET', path, { key })),
      );
      expect(answers.map(({ status }) => status)).toEqual(guesses.map(() => 401));
    }
    const late = await call('GET', path, { key: 'tlw_late' });
    expect(late.status).toBe(429);
    expect(late.body).toMatchObject({ code: 'rate_limited', isRetryable: true });
    expect(Number(late.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await call('GET', path)).status).toBe(404);
  });

  test('a key has a share of its own: one that asks too often does not slow another', async ({
    startApi,
  }) => {
    const { call, addKey } = await startApi({ API_REQUESTS_PER_MINUTE: '3' });
    const greedy = await addKey('greedy');
    const path = `/v1/tokenizations/${anyId}`;
    const statuses: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      statuses.push((await call('GET', path, { key: greedy })).status);
    }
    expect(statuses).toEqual([404, 404, 404, 429, 429]);
    const refused = await call('POST', '/v1/tokenizations', {
      key: greedy,
      body: requestPayload(),
    });
    expect(refused.body).toMatchObject({ code: 'rate_limited', isRetryable: true });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await call('GET', path)).status).toBe(404);
  });
});
