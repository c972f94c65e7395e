import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTokenClient, TokenClientError, type TokenClient } from '../../src/client/client.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { makeKey } from '../support/api.ts';
import { requestPayload } from '../support/builders.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openShop, type Shop } from '../support/shop.ts';
import { startTestWorker, type TestWorker } from '../support/worker.ts';

let database: TestDatabase;
let worker: TestWorker;
let shop: Shop;
let client: TokenClient;
const { key, entry } = makeKey('shop');
const reader = makeKey('reader');

beforeAll(async () => {
  database = await createTestDatabase();
  const started = await startTestWorker({
    databaseUrl: database.url,
    backend: 'postgres',
    env: { API_KEYS: `${entry},${reader.entry}:read` },
  });
  if (started === undefined) throw new Error('the worker did not start');
  worker = started;
  shop = openShop(worker);
  client = createTokenClient({ url: worker.app.urls?.private ?? '', apiKey: key });
});

afterAll(async () => {
  expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  await worker.close();
  await database.drop();
});

const requestOf = (remark: string) => shop.withUrls(requestPayload({ remark }));

/** The fault that a call ends with. */
async function faultOf(call: Promise<unknown>): Promise<TokenClientError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TokenClientError) return error;
  throw new Error('the call did not end with a TokenClientError', { cause: error });
}

describe('a backend with the client, a worker and a gateway', () => {
  test('has a customer sent on their way, hands back what they bring, and knows the result', async () => {
    const request = requestOf('sandbox:redirect+dropped');
    const { id } = await client.requestTokenization(request);
    expect((await client.requestTokenization(request)).id).toBe(id);
    const { redirectUrl } = await client.waitForRedirectUrl(id);
    expect(redirectUrl).toContain(worker.sandbox.checkoutUrl);

    const row = await shop.until(request.merchant.referenceId, 'awaiting_customer');
    const { fields } = await shop.decide(row, 'approve');
    const message = {
      contentType: 'application/x-www-form-urlencoded',
      body: new URLSearchParams(
        fields.map(([name, value]): [string, string] => [name, value]),
      ).toString(),
    };
    const kept = await client.forwardRedirect(message);
    expect(await client.forwardRedirect(message)).toEqual({ id: kept.id, isDuplicate: true });
    expect((await client.forwardNotify(message)).isDuplicate).toBe(false);
    expect(await client.waitForResult(id)).toMatchObject({ id, state: 'active' });

    const events = (await client.getTimeline(id)).map(({ event }) => event);
    expect(events).toEqual(
      expect.arrayContaining([
        'tokenization.requested',
        'tokenization.activated',
        'callback.accepted',
      ]),
    );
  });

  test('finds a tokenization by each reference, reveals and disables its token', async () => {
    const { id } = await client.requestTokenization(requestOf('sandbox:direct'));
    const active = await client.waitForResult(id);
    const quickpayId = await client.revealToken(id);
    expect(worker.sandbox.state().creations.map((made) => made.quickpayId)).toContain(quickpayId);
    const { merchantReferenceId, orderReferenceId } = active;
    for (const filter of [
      { merchantReferenceId },
      { orderReferenceId: orderReferenceId ?? '' },
      { quickpayId },
      { customerId: 'cust-77', state: 'active', quickpayId },
    ] as const) {
      expect((await client.findTokenization(filter))?.id).toBe(id);
    }
    expect(await client.findTokenization({ quickpayId: 'unheard-of' })).toBeUndefined();
    const first = await client.findTokenizations({ customerId: 'cust-77' }, { limit: 1 });
    const cursor = first.nextCursor ?? '';
    const second = await client.findTokenizations({ customerId: 'cust-77' }, { limit: 1, cursor });
    expect(second.items[0]?.id).not.toBe(first.items[0]?.id);

    expect(['disabling', 'disabled']).toContain((await client.disableToken(id)).state);
    expect((await client.getTokenization(id)).id).toBe(id);
  });

  test('has the gateway asked at once', async () => {
    const request = requestOf('sandbox:redirect+dropped');
    const { id } = await client.requestTokenization(request);
    await client.waitForRedirectUrl(id);
    const row = await shop.until(request.merchant.referenceId, 'awaiting_customer');
    await shop.decide(row, 'decline');
    await client.confirmTokenization(id);
    expect((await client.waitForResult(id)).state).toBe('failed');
  });

  test('is told in time that a customer has not decided yet, or that it gave up itself', async () => {
    const { id } = await client.requestTokenization(requestOf('sandbox:redirect+dropped'));
    await client.waitForRedirectUrl(id);
    const fault = await faultOf(client.waitForResult(id, { timeoutMs: 200 }));
    expect(fault).toMatchObject({ code: 'timeout', isRetryable: true });
    const gaveUp = AbortSignal.timeout(200);
    await expect(client.waitForResult(id, { signal: gaveUp })).rejects.toMatchObject({
      name: 'TimeoutError',
    });
  });
});

describe('a fault', () => {
  test('of the input is found before anything is sent, and named without its value', async () => {
    const offline = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: key, retriesMax: 0 });
    const good = requestOf('');
    const bad = { ...good, order: { ...good.order, currency: 'CANARY' } };
    const faults = [
      [await faultOf(offline.requestTokenization(bad)), ['order.currency']],
      [await faultOf(offline.getTokenization('CANARY')), ['']],
      [await faultOf(offline.findTokenization({ customerId: '' })), ['customerId']],
      [await faultOf(offline.getAccessToken('CANARY')), ['']],
      [await faultOf(offline.reportInvalidAccessToken('default', -1)), ['generation']],
    ] as const;
    for (const [fault, paths] of faults) {
      expect(fault).toMatchObject({ code: 'payload_invalid', status: undefined, paths });
      expect(JSON.stringify([fault, fault.message, fault.stack])).not.toContain('CANARY');
    }
    expect(await faultOf(offline.requestTokenization(good))).toMatchObject({
      code: 'network',
      isRetryable: true,
    });
  });

  test('of the worker carries its code, status, paths and request id', async () => {
    const request = requestOf('sandbox:direct');
    await client.requestTokenization(request);
    const other = { ...request, customer: { id: 'CANARY' } };
    const fault = await faultOf(client.requestTokenization(other));
    expect(fault).toMatchObject({
      code: 'reference_conflict',
      status: 409,
      paths: ['merchant.referenceId'],
      isRetryable: false,
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const limited = createTokenClient({ url: worker.app.urls?.private ?? '', apiKey: reader.key });
    const refused = await faultOf(limited.requestTokenization(request));
    expect(refused).toMatchObject({ code: 'scope_missing', status: 403 });
    const strange = createTokenClient({ url: worker.app.urls?.private ?? '', apiKey: 'tlw_x' });
    expect(await faultOf(strange.findTokenization({ state: 'active' }))).toMatchObject({
      code: 'api_key_unknown',
      status: 401,
    });
  });

  test('of the address is told from one of the worker', async () => {
    const elsewhere = createTokenClient({ url: worker.sandbox.checkoutUrl, apiKey: key });
    const fault = await faultOf(elsewhere.findTokenization({ state: 'active' }));
    expect(fault.code).toBe('answer_invalid');
  });
});
