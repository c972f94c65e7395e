import { describe, expect, it } from 'vitest';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { accountHeaders, clientOf, createBody } from '../client.ts';
import { useSandbox } from '../harness.ts';

const { sandbox, client } = await useSandbox();

function sendCreate(referenceId: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${sandbox.url}/pg/quickPay/create`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...accountHeaders },
    body: JSON.stringify(createBody(referenceId, { remark: 'sandbox:direct' })),
    ...init,
  });
}

async function hasTakenEffect(referenceId: string): Promise<boolean> {
  sandbox.setFaults({ faultEndpoints: [] });
  return (await client.queryReference(referenceId)).data.quickpay !== undefined;
}

describe('a server error', () => {
  it.each([
    ['errorRate5xx', 503, false],
    ['errorAfterEffectRate', 502, true],
  ] as const)('under %s answers %i without JSON, effect: %s', async (name, status, hasEffect) => {
    sandbox.setFaults({ [name]: 1 });
    const response = await sendCreate('ref-1');
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await hasTakenEffect('ref-1')).toBe(hasEffect);
  });
});

describe('a reset', () => {
  it.each([
    ['resetBeforeEffectRate', false],
    ['resetAfterEffectRate', true],
  ] as const)(
    'under %s closes the connection without a reply, effect: %s',
    async (name, hasEffect) => {
      sandbox.setFaults({ [name]: 1 });
      await expect(sendCreate('ref-1')).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
      expect(await hasTakenEffect('ref-1')).toBe(hasEffect);
    },
  );

  it('under the modifier lost-reply hits only the first create of its creation', async () => {
    const order = { remark: 'sandbox:direct+lost-reply' };
    await expect(client.create('ref-1', order)).rejects.toThrow('fetch failed');
    const again = await client.create('ref-1', order);
    expect((await client.queryReference('ref-1')).data.quickpay.id).toBe(again.data.quickPay.id);
    expect((await client.create('ref-2', { remark: 'sandbox:direct' })).code).toBe('000');
    expect(sandbox.state().tokensByMerchantReference).toStrictEqual({ 'ref-1': 1, 'ref-2': 1 });
  });
});

describe('a hang', () => {
  it.each([
    ['hangRate', false],
    ['hangAfterEffectRate', true],
  ] as const)('under %s sends no answer, effect: %s', async (name, hasEffect) => {
    sandbox.setFaults({ [name]: 1 });
    const signal = AbortSignal.timeout(150);
    await expect(sendCreate('ref-1', { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(await hasTakenEffect('ref-1')).toBe(hasEffect);
  });
});

describe('latency', () => {
  it('delays the answer', async () => {
    sandbox.setFaults({ latencyMs: 100 });
    const startedAtMs = performance.now();
    await sendCreate('ref-1');
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(99);
  });

  it('does not prevent the effect when the caller hangs up', async () => {
    sandbox.setFaults({ latencyMs: 400, faultEndpoints: ['create'] });
    const signal = AbortSignal.timeout(50);
    await expect(sendCreate('ref-1', { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect((await client.queryReference('ref-1')).data).toEqual({});
    await expect.poll(async () => (await client.queryReference('ref-1')).data).not.toEqual({});
  });
});

it.each([{ hangRate: 1 }, { latencyMs: 60_000 }])(
  'close does not wait for a call under %o',
  async (faults) => {
    const own = await startSandbox({ faults });
    const call = clientOf(own).create('ref-1');
    const isRejected = expect(call).rejects.toThrow('fetch failed');
    await expect.poll(() => own.state().calls.create).toBe(1);
    await own.close();
    await isRejected;
  },
);

describe('faults hit', () => {
  it('only the calls in faultEndpoints', async () => {
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query', 'oauth-create'] });
    expect((await sendCreate('ref-1')).status).toBe(200);
    await expect(client.queryReference('ref-1')).rejects.toThrow(SyntaxError);
    await expect(client.oauthCreate()).rejects.toThrow(SyntaxError);
  });

  it('only the first calls of each key under faultAttemptsMax', async () => {
    sandbox.setFaults({ errorRate5xx: 1, faultAttemptsMax: 1 });
    const statuses = [];
    for (const referenceId of ['ref-1', 'ref-2', 'ref-1', 'ref-2']) {
      statuses.push((await sendCreate(referenceId)).status);
    }
    expect(statuses).toStrictEqual([503, 503, 200, 200]);
  });
});
