import { inspect } from 'node:util';
import { describe, expect } from 'vitest';
import { createTokenClient } from '../../src/client/client.ts';
import { test } from '../support/api-test.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/client-fault.ts';

const request = requestPayload();
const canary = 'CANARY-4111';

describe('a fault over HTTP', () => {
  test('of the input is found before anything is sent, one of the way is told from it', async () => {
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

  test('of the way names what the system says, and holds neither the key nor the request', async () => {
    const offline = createTokenClient({ url: 'http://127.0.0.1:2', apiKey: canary, retriesMax: 0 });
    const order = { ...request.order, remark: canary };
    const fault = await faultOf(offline.requestTokenization({ ...request, order }));
    expect(fault.message).toBe('The worker could not be reached (ECONNREFUSED).');
    expect(inspect(fault, { depth: Infinity, showHidden: true })).not.toContain(canary);
  });

  test('of an option is found when the client is made, named, and quotes nothing', async () => {
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

  test('of the address is told from one of the worker', async ({ api }) => {
    const elsewhere = createTokenClient({ url: `${api.url}/health`, apiKey: 'x' });
    const fault = await faultOf(elsewhere.findTokenization({ state: 'active' }));
    expect(fault.code).toBe('answer_invalid');
  });
});
