import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect } from 'vitest';
import { createTokenClient, type TokenClient } from '../../src/client/client.ts';
import { test } from '../support/harness/api-test.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { openFaultyServer } from '../support/faults/faulty-server.ts';

const request = requestPayload();
const canary = 'CANARY-4111';

describe('client error', () => {
  test('of an invalid input comes before any call, and differs from a network error', async () => {
    const offline = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x', retriesMax: 0 });
    const bad = { ...request, order: { ...request.order, currency: 'euro' } };
    expect(await faultOf(offline.requestTokenization(bad))).toMatchObject({
      code: 'payload_invalid',
      status: undefined,
    });
    expect(await faultOf(offline.requestTokenization(request))).toMatchObject({
      code: 'network',
      isRetryable: true,
    });
  });

  test('of the network has the code of the system, but neither the key nor the request', async () => {
    const offline = createTokenClient({ url: 'http://127.0.0.1:2', apiKey: canary, retriesMax: 0 });
    const order = { ...request.order, remark: canary };
    const fault = await faultOf(offline.requestTokenization({ ...request, order }));
    expect(fault.message).toBe('The worker could not be reached (ECONNREFUSED).');
    expect(inspect(fault, { depth: Infinity, showHidden: true })).not.toContain(canary);
  });

  test('of an invalid option names the option without its value', async () => {
    const good = { url: 'http://127.0.0.1:1/base', apiKey: 'tlw_x' };
    const faulty = [
      [{ apiKey: `tlw_${canary}\nx` }, 'apiKey'],
      [{ apiKey: `tlw_${canary}ü` }, 'apiKey'],
      [{ apiKey: '' }, 'apiKey'],
      [{ url: `http://shop:${canary}@127.0.0.1:1` }, 'url'],
      [{ url: `http://${canary}@127.0.0.1:1` }, 'url'],
      [{ url: 'localhost:9090' }, 'url'],
      [{ url: canary }, 'url'],
      [{ url: '' }, 'url'],
      [{ timeoutMs: 0 }, 'timeoutMs'],
      [{ retriesMax: -1 }, 'retriesMax'],
    ] as const;
    for (const [option, path] of faulty) {
      const fault = await faultOf(
        (async () => await Promise.resolve(createTokenClient({ ...good, ...option })))(),
      );
      expect(fault).toMatchObject({ code: 'config_invalid', paths: [path], isRetryable: false });
      expect(inspect(fault, { depth: Infinity, showHidden: true })).not.toContain(canary);
    }
    createTokenClient({ url: new URL(good.url), apiKey: 'tlw_x\n' });
  });

  test('of the worker carries its code, status, paths and request id', async ({ api }) => {
    const { url, addKey } = api;
    const client = createTokenClient({ url, apiKey: await addKey('shop') });
    await client.requestTokenization(request);
    const other = { ...request, customer: { id: 'another' } };
    expect(await faultOf(client.requestTokenization(other))).toMatchObject({
      code: 'reference_conflict',
      status: 409,
      paths: ['merchant.referenceId'],
      isRetryable: false,
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const limited = createTokenClient({ url, apiKey: await addKey('reader', ['read']) });
    expect(await faultOf(limited.requestTokenization(request))).toMatchObject({
      code: 'scope_missing',
      status: 403,
    });
    const strange = createTokenClient({ url, apiKey: 'tlw_x' });
    expect(await faultOf(strange.findTokenization({ state: 'active' }))).toMatchObject({
      code: 'api_key_unknown',
      status: 401,
    });
  });

  test('of a wrong URL is route_not_found', async ({ api }) => {
    const elsewhere = createTokenClient({ url: `${api.url}/health`, apiKey: 'x' });
    const fault = await faultOf(elsewhere.findTokenization({ state: 'active' }));
    expect(fault.code).toBe('route_not_found');
  });
});

const id = randomUUID();
const message = { body: 'a=b' };
/** Each call, with the number of requests that a server sees if it cuts the first one off. */
const calls: readonly (readonly [string, number, (client: TokenClient) => Promise<unknown>])[] = [
  ['requestTokenization', 2, async (client) => await client.requestTokenization(request)],
  ['waitForRedirectUrl', 2, async (client) => await client.waitForRedirectUrl(id)],
  ['waitForResult', 2, async (client) => await client.waitForResult({ merchantReferenceId: 'a' })],
  ['getTokenization', 2, async (client) => await client.getTokenization(id)],
  ['findTokenization', 2, async (client) => await client.findTokenization({ state: 'active' })],
  ['findTokenizations', 2, async (client) => await client.findTokenizations({ state: 'active' })],
  ['getTimeline', 2, async (client) => await client.getTimeline(id)],
  ['revealToken', 1, async (client) => await client.revealToken(id)],
  ['disableToken', 2, async (client) => await client.disableToken(id)],
  ['confirmTokenization', 2, async (client) => await client.confirmTokenization(id)],
  ['forwardRedirect', 2, async (client) => await client.forwardRedirect(message)],
  ['forwardNotify', 2, async (client) => await client.forwardNotify(message)],
  ['getAccessToken', 2, async (client) => await client.getAccessToken()],
  [
    'reportInvalidAccessToken',
    2,
    async (client) => await client.reportInvalidAccessToken('default', 1),
  ],
  ['revealOpccount', 1, async (client) => await client.revealOpccount()],
];

test('concurrent reports of one generation are one request', async () => {
  const { url, seen } = await openFaultyServer([], {
    status: 202,
    body: { result: 'renewal_brought_forward' },
  });
  const client = createTokenClient({ url, apiKey: 'k' });
  const report = async (generation: number): Promise<void> =>
    await client.reportInvalidAccessToken('default', generation);
  await Promise.all([...Array.from({ length: 20 }, async () => await report(1)), report(2)]);
  expect(seen).toHaveLength(2);
  await report(1);
  expect(seen).toHaveLength(3);
});

describe.for(calls)('%s', ([, seenAfterCut, call]) => {
  test('refuses an answer of another shape', async () => {
    for (const body of [{ hello: 'world' }, { id: null, items: [{}], events: 1 }, []]) {
      const { url } = await openFaultyServer([], { status: 200, body });
      expect(await faultOf(call(createTokenClient({ url, apiKey: 'k' })))).toMatchObject({
        code: 'answer_invalid',
        status: 200,
        isRetryable: false,
      });
    }
  });

  test('is retried after its answer was lost, unless it is a reveal', async () => {
    const { url, seen } = await openFaultyServer(['cut']);
    const fault = await faultOf(call(createTokenClient({ url, apiKey: 'k' })));
    expect(seen).toHaveLength(seenAfterCut);
    expect(fault).toMatchObject(
      seenAfterCut === 1
        ? { code: 'network', isRetryable: true }
        : { code: 'answer_invalid', isRetryable: false },
    );
  });
});

test('an answer of a newer worker keeps the fields that this client does not know', async () => {
  const newer = {
    id,
    state: 'paused',
    review: 'of a new kind',
    merchantReferenceId: 'order-1',
    redirectUrl: null,
    added: { deep: [1] },
  };
  const { url } = await openFaultyServer([], { status: 200, body: newer });
  expect(await createTokenClient({ url, apiKey: 'k' }).getTokenization(id)).toEqual(newer);
});
