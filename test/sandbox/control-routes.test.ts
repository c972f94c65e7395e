import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Sandbox, faultDefaults, startSandbox } from '../../src/sandbox/sandbox.ts';
import { clientOf } from './client.ts';

let sandbox: Sandbox;
let client: ReturnType<typeof clientOf>;

beforeAll(async () => {
  sandbox = await startSandbox({ seed: 3, faults: { duplicatePushes: 1 } });
  client = clientOf(sandbox);
});
afterEach(() => fetch(`${sandbox.url}/sandbox/reset`, { method: 'POST' }));
afterAll(() => sandbox.close());

function send(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${sandbox.url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
}

describe('/sandbox/faults', () => {
  it('shows every switch and changes those that are named', async () => {
    const expected = { ...faultDefaults, duplicatePushes: 1 };
    expect(await (await send('GET', '/sandbox/faults')).json()).toStrictEqual(expected);
    const answer = await send('PUT', '/sandbox/faults', { createIdempotency: 'duplicate-error' });
    expect(answer.status).toBe(200);
    await client.create('ref-1');
    expect((await client.create('ref-1')).code).toBe('40009');
    const changed = { ...expected, createIdempotency: 'duplicate-error' };
    expect(await (await send('GET', '/sandbox/faults')).json()).toStrictEqual(changed);
  });

  it.each([
    [{ hangRate: 2 }, ['hangRate']],
    [{ pushFormat: 'yaml' }, ['pushFormat']],
    [{ latencyMs: -1, hangrate: 1 }, ['latencyMs', 'hangrate']],
  ])('refuses %o by name and changes nothing', async (patch, paths) => {
    const before: unknown = await (await send('GET', '/sandbox/faults')).json();
    const answer = await send('PUT', '/sandbox/faults', patch);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ paths });
    expect(await (await send('GET', '/sandbox/faults')).json()).toStrictEqual(before);
  });

  it('refuses what is no object', async () => {
    expect((await send('PUT', '/sandbox/faults', [])).status).toBe(400);
    expect((await send('PUT', '/sandbox/faults', 1)).status).toBe(400);
  });
});

describe('/sandbox/state', () => {
  it('counts calls and shows creations and tokens, but no token text and no secret', async () => {
    const { data } = await client.create('ref-1', { remark: 'sandbox:direct' });
    await client.queryReference('ref-1');
    await client.cancel(data.quickPay.id);
    const oauth = await client.oauthCreate();
    await client.oauthRefresh(oauth.data.refresh_token);
    const text = await (await send('GET', '/sandbox/state')).text();
    const state: unknown = JSON.parse(text);
    expect(state).toStrictEqual(sandbox.state());
    expect(state).toMatchObject({
      seed: 3,
      creations: [{ merchantReferenceId: 'ref-1', status: 'disabled', pushes: [] }],
      calls: {
        create: 1,
        query: 1,
        cancel: 1,
        'check-account': 0,
        'oauth-create': 1,
        'oauth-refresh': 1,
      },
      tokensByMerchantReference: { 'ref-1': 1 },
      accessTokens: { issued: 2, valid: 2 },
    });
    expect(text).not.toContain(oauth.data.access_token);
    expect(text).not.toContain('sandbox-secret-01');
  });
});

describe('/sandbox/reset and /sandbox/seed', () => {
  it('reset forgets everything and returns to the switches of the start', async () => {
    await client.create('ref-1');
    await send('PUT', '/sandbox/faults', { duplicatePushes: 5 });
    expect((await send('POST', '/sandbox/reset')).status).toBe(200);
    expect(sandbox.state()).toMatchObject({ seed: 3, creations: [], calls: { create: 0 } });
    const faults: unknown = await (await send('GET', '/sandbox/faults')).json();
    expect(faults).toMatchObject({ duplicatePushes: 1 });
  });

  it('a reset run repeats the first one', async () => {
    const first = await client.create('ref-1', { remark: 'sandbox:direct' });
    await send('POST', '/sandbox/reset');
    expect(await client.create('ref-1', { remark: 'sandbox:direct' })).toStrictEqual(first);
  });

  it('another seed starts over with other ids', async () => {
    const first = await client.create('ref-1', { remark: 'sandbox:direct' });
    expect(await (await send('PUT', '/sandbox/seed', { seed: 4 })).json()).toStrictEqual({
      seed: 4,
    });
    expect(sandbox.state().creations).toStrictEqual([]);
    const second = await client.create('ref-1', { remark: 'sandbox:direct' });
    expect(second.data.quickPay.id).not.toBe(first.data.quickPay.id);
    expect((await send('PUT', '/sandbox/seed', { seed: 'x' })).status).toBe(400);
    await send('PUT', '/sandbox/seed', { seed: 3 });
  });
});
