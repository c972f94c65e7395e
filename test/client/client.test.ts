import { describe, expect } from 'vitest';
import { createTokenClient } from '../../src/client/client.ts';
import { test } from '../support/api-test.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/client-fault.ts';

const request = requestPayload();

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
