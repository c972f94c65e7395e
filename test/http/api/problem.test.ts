import { randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { problem } from '../../../src/domain/payload/api-shapes.ts';
import { type Answer, startTestApi } from '../../support/harness/api.ts';
import { test } from '../../support/harness/api-test.ts';
import { requestPayload } from '../../support/builders.ts';
import { setAway } from '../../support/services/database.ts';
import { exchangeRaw } from '../exchange-raw.ts';
import { eventually } from '../../support/eventually.ts';
import { withValueAt, payloadFixtures, mutablePaths } from '../../support/payload-fixtures.ts';

const canary = 'CANARY-4111';
const anyId = randomUUID();
const good = requestPayload();

/** Expects a problem with this status and code, and without any value of the request. */
function expectProblem(
  answer: Answer,
  expected: { status: number; code: string; paths?: string[] },
) {
  const { paths, ...rest } = expected;
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  const sent = [answer.text, ...answer.headers.values()].join('\n').toUpperCase();
  expect(sent).not.toContain(canary);
  const sentProblem = problem.strict().parse(answer.body);
  expect(sentProblem).toMatchObject(rest);
  expect(answer.status).toBe(expected.status);
  expect(sentProblem.type).toBe(`urn:token-lifecycle:problem:${expected.code}`);
  expect(sentProblem.requestId).toBe(answer.headers.get('x-request-id'));
  if (paths !== undefined) expect(sentProblem.paths.toSorted()).toEqual(paths.toSorted());
}

describe('problem without any value of the request', () => {
  const order = (changes: object) => ({ ...good, order: { ...good.order, ...changes } });

  test.for<readonly [string, unknown, readonly string[]]>([
    ['a bad currency', order({ currency: canary }), ['order.currency']],
    ['a bad amount', order({ amount: canary }), ['order.amount']],
    ['an amount of zero', order({ amount: '0.00' }), ['order.amount']],
    ['an unknown field', { ...good, [canary]: canary }, ['*']],
    ['an unknown field inside', order({ [canary]: canary }), ['order.*']],
    ['a field of another type', { ...good, billing: canary }, ['billing']],
    [
      'an invalid reference',
      { ...good, merchant: { referenceId: `${canary} ` } },
      ['merchant.referenceId'],
    ],
    ['an unknown version', { ...good, v: canary }, ['v']],
    ['an invalid return URL', { ...good, returnUrl: canary }, ['returnUrl']],
    ['an empty object', {}, ['order', 'merchant', 'billing', 'customer']],
    ['a list', [canary], []],
    ['NUL in a text', order({ methods: 'a\0' }), ['order.methods']],
    ['an unpaired surrogate', order({ methods: '\ud800' }), ['order.methods']],
  ])('names the path of %s', async ([, body, paths], { api }) => {
    const { call } = api;
    const answer = await call('POST', '/v1/tokenizations', { body });
    expectProblem(answer, { status: 400, code: 'payload_invalid', paths: [...paths] });
  });

  test('answers a body that is malformed, too large or no JSON', async ({ api }) => {
    const { call } = api;
    const send = async (body: string, type = 'application/json') =>
      await call('POST', '/v1/tokenizations', { body, headers: { 'content-type': type } });
    const invalid = { status: 400, code: 'payload_invalid' };
    expectProblem(await send(`{"${canary}`), invalid);
    expectProblem(await send(`{"__proto__": {"${canary}": 1}}`), invalid);
    expectProblem(await send(''), invalid);
    expectProblem(await send(JSON.stringify({ canary: canary.repeat(30_000) })), {
      status: 413,
      code: 'body_too_large',
    });
    for (const type of ['text/plain', `application/${canary}`, canary]) {
      expectProblem(await send(JSON.stringify(good), type), {
        status: 415,
        code: 'media_type_unsupported',
      });
    }
  });

  test('names the path of each field of a wrong type or length', async ({ api }) => {
    const { call } = api;
    const fixtures = await payloadFixtures(1);
    const requests = fixtures.filter(({ job }) => job === 'tokenization.request');
    const full = requests.at(-1)?.payload;
    const fields = mutablePaths(full).filter((at) => at.at(-1) !== 'unknownField');
    const leaves = fields.filter((at) => !fields.some((other) => isBelow(other, at)));
    expect(leaves.length).toBeGreaterThan(25);
    for (const at of leaves) {
      for (const value of [{ [canary]: canary }, canary.repeat(1_000)]) {
        const body = withValueAt(full, at, value);
        const answer = await call('POST', '/v1/tokenizations', { body });
        expectProblem(answer, { status: 400, code: 'payload_invalid', paths: [at.join('.')] });
      }
    }
  });

  test('answers an unknown key and a key without the scope', async ({ api }) => {
    const { call, addKey, logs } = api;
    const body = { ...good, customer: { id: canary } };
    const unknown = await call('POST', '/v1/tokenizations', { key: `tlw_${canary}`, body });
    expectProblem(unknown, { status: 401, code: 'api_key_unknown', paths: [] });
    const key = await addKey(`reader-${canary.toLowerCase()}`, ['read']);
    const limited = await call('POST', '/v1/tokenizations', { key, body });
    expectProblem(limited, { status: 403, code: 'scope_missing', paths: [] });
    expect(limited.body.detail).toContain('enqueue');
    expect(logs.join('')).not.toContain(canary);
  });

  test('answers an unknown version, malformed URLs and unknown paths', async ({ api }) => {
    const { call, url } = api;
    const answer = await call('POST', '/v1/tokenizations', { body: { ...good, v: 2 } });
    expectProblem(answer, { status: 400, code: 'payload_version_unsupported', paths: ['v'] });
    for (const [address, status] of [
      [`/v1/tokenizations/${canary}%E0%A4%A`, 400],
      [`/v1/tokenizations/${canary.repeat(50)}`, 400],
      [`/V1/${canary}`, 404],
      [`/${canary}`, 404],
      [`/v1/tokenizations?orderReferenceId=${canary}%00`, 400],
    ] as const) {
      const refused = await call('GET', address);
      expect(refused.status).toBe(status);
      expect(refused.headers.get('content-type')).toContain('application/problem+json');
      expect(refused.text).not.toContain(canary);
    }
    const raw = await exchangeRaw(url, `GARBAGE ${canary}\r\nx: ${canary.repeat(3_000)}\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 400 [^]*application\/problem\+json/);
    expect(raw).not.toContain(canary);
  });

  test('names each invalid parameter', async ({ api }) => {
    const { call } = api;
    const wrong = [
      [`/v1/tokenizations/${canary}`, ['id']],
      [`/v1/tokenizations/${anyId}?wait=${canary}`, ['wait']],
      [`/v1/tokenizations/${anyId}?wait=61s`, ['wait']],
      [`/v1/tokenizations/${anyId}?${canary}=1`, ['*']],
      [`/v1/tokenizations?state=${canary}`, ['state']],
      [`/v1/tokenizations?customerId=${canary.repeat(20)}`, ['customerId']],
      [`/v1/tokenizations?state=active&limit=0`, ['limit']],
      [`/v1/tokenizations?state=active&limit=${canary}`, ['limit']],
      [`/v1/tokenizations?state=active&cursor=${canary}`, ['cursor']],
      [
        '/v1/tokenizations',
        ['merchantReferenceId', 'orderReferenceId', 'quickpayId', 'customerId', 'state'],
      ],
      [`/v1/dead-letters?cursor=${canary}`, ['cursor']],
    ] as const;
    for (const [path, paths] of wrong) {
      const answer = await call('GET', path);
      expectProblem(answer, { status: 400, code: 'payload_invalid', paths: [...paths] });
    }
  });

  test('answers an unknown credential and a return URL that is not allowed', async ({ api }) => {
    const { call } = api;
    const unknown = await call('POST', '/v1/tokenizations', {
      body: { ...good, credential: canary.toLowerCase() },
    });
    expectProblem(unknown, { status: 422, code: 'credential_not_found', paths: ['credential'] });
    const elsewhere = await call('POST', '/v1/tokenizations', {
      body: { ...good, returnUrl: `https://evil.example/${canary}` },
    });
    expectProblem(elsewhere, { status: 422, code: 'return_url_not_allowed', paths: ['returnUrl'] });
  });

  test('answers another body under a used reference, and a wrong Idempotency-Key', async ({
    api,
  }) => {
    const { call } = api;
    expect((await call('POST', '/v1/tokenizations', { body: good })).status).toBe(202);
    const conflict = await call('POST', '/v1/tokenizations', {
      body: { ...good, customer: { id: canary } },
    });
    expectProblem(conflict, {
      status: 409,
      code: 'reference_conflict',
      paths: ['merchant.referenceId'],
    });
    const mismatch = await call('POST', '/v1/tokenizations', {
      body: good,
      headers: { 'idempotency-key': canary },
    });
    expectProblem(mismatch, {
      status: 422,
      code: 'idempotency_key_mismatch',
      paths: ['idempotency-key', 'merchant.referenceId'],
    });
  });

  test('answers unknown routes, tokenizations and dead letters with 404', async ({ api }) => {
    const { call } = api;
    const missing = { status: 404, code: 'tokenization_not_found' };
    expectProblem(await call('GET', `/v1/${canary}`), { status: 404, code: 'route_not_found' });
    expectProblem(await call('GET', `/v1/tokenizations/${anyId}`), missing);
    expectProblem(await call('GET', `/v1/tokenizations/${anyId}/timeline`), missing);
    for (const action of ['reveal', 'disable', 'confirm']) {
      expectProblem(await call('POST', `/v1/tokenizations/${anyId}/${action}`), missing);
    }
    expectProblem(await call('POST', `/v1/dead-letters/${anyId}/redrive`), {
      status: 404,
      code: 'dead_letter_not_found',
    });
  });

  test('answers an action that the state forbids with 409', async ({ api }) => {
    const { call } = api;
    const { id } = (await call('POST', '/v1/tokenizations', { body: good })).body;
    for (const action of ['reveal', 'disable', 'confirm']) {
      const answer = await call('POST', `/v1/tokenizations/${id}/${action}`);
      expectProblem(answer, { status: 409, code: 'state_forbids' });
      expect(answer.body.isRetryable).toBe(false);
    }
  });
});

/** Whether a path is below another one. */
function isBelow(path: readonly string[], parent: readonly string[]): boolean {
  return path.length > parent.length && parent.every((step, index) => path[index] === step);
}

describe('API request', () => {
  test('gets 503 with Retry-After while PostgreSQL is down', async ({
    database,
    databaseUrl,
    door,
  }) => {
    const { call, close } = await startTestApi({ db: database.db, door });
    await setAway(databaseUrl, true);
    for (const [method, path, body] of [
      ['POST', '/v1/tokenizations', good],
      ['GET', `/v1/tokenizations/${anyId}?wait=1s`, undefined],
    ] as const) {
      const answer = await call(method, path, { body });
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(answer.body).toMatchObject({ code: 'database_unavailable', isRetryable: true });
    }
    await setAway(databaseUrl, false);
    await eventually(
      'it answers again',
      async () => (await call('GET', '/v1/dead-letters')).status === 200,
    );
    await close();
  });

  test('has a request id in its answer, log line and audit rows; an unsafe id is replaced', async ({
    api,
    shared,
  }) => {
    const { call, logs } = api;
    const sent = 'shop-req.42_a';
    const answer = await call('POST', '/v1/tokenizations', {
      body: requestPayload(),
      headers: { 'x-request-id': sent },
    });
    expect(answer.headers.get('x-request-id')).toBe(sent);
    const rows = await shared.db
      .selectFrom('audit_event')
      .select(['event', 'trace_id', 'actor_type', 'actor_id'])
      .where('entity_id', '=', answer.body.id)
      .execute();
    expect(rows).toEqual([
      {
        event: 'tokenization.requested',
        trace_id: sent,
        actor_type: 'backend',
        actor_id: 'main',
      },
    ]);
    const line = logs.find((text) => text.includes(sent)) ?? '';
    expect(JSON.parse(line)).toMatchObject({
      requestId: sent,
      method: 'POST',
      route: '/v1/tokenizations',
      status: 202,
    });
    for (const id of ['a b', 'x'.repeat(65), 'ada@example.com']) {
      const { headers } = await call('GET', '/v1/dead-letters', {
        headers: { 'x-request-id': id },
      });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test('is logged without query, body and key', async ({ api }) => {
    const { call, logs } = api;
    await call('GET', `/v1/tokenizations?customerId=${canary}&quickpayId=${canary}`);
    await call('POST', '/v1/tokenizations', { body: { ...good, customer: { id: canary } } });
    await call('GET', '/v1/dead-letters', { key: canary });
    await call('POST', '/v1/callbacks/notify', { body: { body: canary, sourceIp: canary } });
    expect(logs.length).toBeGreaterThan(3);
    expect(logs.join('')).not.toContain(canary);
  });

  test('that waits is answered when the process stops', async ({ startApi }) => {
    const { call, close } = await startApi({});
    const { id } = (await call('POST', '/v1/tokenizations', { body: requestPayload() })).body;
    const waiting = call('GET', `/v1/tokenizations/${id}?wait=60s`);
    // After another round trip the server has surely received the first request.
    await call('GET', `/v1/tokenizations/${id}`);
    const [answer] = await Promise.all([waiting, close()]);
    expect(answer).toMatchObject({ status: 200, body: { id, state: 'requested' } });
  });
});
