import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { apiScopes } from '../../../src/domain/api-key.ts';
import { makeKey, startTestApi } from '../../support/harness/api.ts';
import { test } from '../../support/harness/api-test.ts';
import { requestPayload } from '../../support/builders.ts';

const anyId = randomUUID();

describe('API key', () => {
  test('allows the calls of its scopes and no others', async ({ api }) => {
    const { call, addKey } = api;
    const calls = [
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
      for (const [needed, method, path, body, status] of calls) {
        const answer = await call(method, path, { key, body });
        if (needed === scope) expect(answer.status, `${path} with ${scope}`).toBe(status);
        else {
          expect(answer.status, `${path} with ${scope}`).toBe(403);
          expect(answer.body).toMatchObject({ code: 'scope_missing', isRetryable: false });
        }
      }
    }
  });

  test('of the environment can be limited to scopes', async ({ startApi }) => {
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

  test('does not exist yet: the 401 says how to add the first one', async ({ database, door }) => {
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
});

describe('rate limit', () => {
  test('blocks an address after too many invalid keys, but not valid keys from there', async ({
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

  test('counts per key, so that one busy key does not slow another', async ({ startApi }) => {
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
