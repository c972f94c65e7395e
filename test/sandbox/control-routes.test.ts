import { describe, expect, it } from 'vitest';
import { faultDefaults } from '../../src/sandbox/sandbox.ts';
import { useSandbox } from './harness.ts';

const { sandbox, client } = await useSandbox({ seed: 3, faults: { duplicatePushes: 1 } });

function send(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${sandbox.url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
}

describe('/sandbox/faults', () => {
  it('GET shows every switch, and PUT changes only the named ones', async () => {
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
  ])('PUT names the invalid switches of %o and changes none', async (patch, paths) => {
    const before: unknown = await (await send('GET', '/sandbox/faults')).json();
    const answer = await send('PUT', '/sandbox/faults', patch);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ paths });
    expect(await (await send('GET', '/sandbox/faults')).json()).toStrictEqual(before);
  });

  it('PUT refuses a body that is not an object', async () => {
    expect((await send('PUT', '/sandbox/faults', [])).status).toBe(400);
    expect((await send('PUT', '/sandbox/faults', 1)).status).toBe(400);
  });
});

describe('/sandbox/state', () => {
  it('shows call counts, creations and token counts, but no token text and no secret', async () => {
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
  it('reset clears all state and restores the initial switches', async () => {
    await client.create('ref-1');
    await send('PUT', '/sandbox/faults', { duplicatePushes: 5 });
    expect((await send('POST', '/sandbox/reset')).status).toBe(200);
    expect(sandbox.state()).toMatchObject({ seed: 3, creations: [], calls: { create: 0 } });
    const faults: unknown = await (await send('GET', '/sandbox/faults')).json();
    expect(faults).toMatchObject({ duplicatePushes: 1 });
  });

  it('after a reset the same calls give the same ids', async () => {
    const first = await client.create('ref-1', { remark: 'sandbox:direct' });
    await send('POST', '/sandbox/reset');
    expect(await client.create('ref-1', { remark: 'sandbox:direct' })).toStrictEqual(first);
  });

  it('another seed clears all state and gives other ids', async () => {
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
