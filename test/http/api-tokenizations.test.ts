import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Call, callerOf } from '../support/harness/api.ts';
import { requestPayload } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import type { Shop } from '../support/harness/shop.ts';
import { redirectMessage, startShopWorker } from '../support/harness/shop-worker.ts';
import type { TestWorker } from '../support/harness/worker.ts';

let worker: TestWorker;
let shop: Shop;
let call: Call;
let close: () => Promise<void>;

beforeAll(async () => {
  const started = await startShopWorker('shop');
  ({ worker, shop, close } = started);
  call = callerOf(started.apiUrl, started.apiKey);
});

afterAll(async () => await close());

const bodyOf = (remark: string) => {
  const { v: _, ...body } = shop.withUrls(requestPayload({ remark }));
  return body;
};
const request = async (remark: string) =>
  (await call('POST', '/v1/tokenizations', { body: bodyOf(remark) })).body;
const untilFinal = async (id: string) =>
  (await call('GET', `/v1/tokenizations/${id}?wait=15s&until=final`)).body;

describe('request over HTTP', () => {
  test('is accepted once however often it is sent, and its answer has no billing data', async () => {
    const body = bodyOf('sandbox:redirect+dropped');
    const headers = { 'idempotency-key': body.merchant.referenceId };
    const [first, second] = await Promise.all([
      call('POST', '/v1/tokenizations', { body, headers }),
      call('POST', '/v1/tokenizations', { body: { v: 1, ...body } }),
    ]);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body.id).toBe(first.body.id);
    expect(first.headers.get('location')).toBe(`/v1/tokenizations/${first.body.id}`);
    const replays = [first, second].map(({ headers: sent }) => sent.get('idempotency-replayed'));
    expect(replays.toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
      'false',
      'true',
    ]);
    const quoted = `"${body.merchant.referenceId}"`;
    const again = await call('POST', '/v1/tokenizations', {
      body,
      headers: { 'idempotency-key': quoted },
    });
    expect(again.body.id).toBe(first.body.id);

    const shown = await call('GET', `/v1/tokenizations/${first.body.id}?wait=15s`);
    expect(shown.body).toEqual({
      id: first.body.id,
      state: 'awaiting_customer',
      version: 3,
      review: null,
      merchantReferenceId: body.merchant.referenceId,
      orderReferenceId: expect.any(String),
      redirectUrl: expect.stringContaining(worker.sandbox.checkoutUrl),
      credential: 'default',
      methods: 'Klarna',
      customerId: 'cust-77',
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
      expiresAt: null,
    });
    for (const secret of ['Lovelace', 'ada@example.com', worker.account.secureCode]) {
      expect(shown.text).not.toContain(secret);
    }
  });

  test('with wait answers at once if the state is reached, else at the end of the wait', async () => {
    const { id } = await request('sandbox:redirect+dropped');
    expect((await call('GET', `/v1/tokenizations/${id}?wait=15s`)).body.redirectUrl).not.toBeNull();
    const startedAt = performance.now();
    await call('GET', `/v1/tokenizations/${id}?wait=15s`);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const waited = await call('GET', `/v1/tokenizations/${id}?wait=300ms&until=final`);
    expect(waited.body.state).toBe('awaiting_customer');
    expect(performance.now() - startedAt).toBeGreaterThan(300);
  });
});

describe('tokenization', () => {
  test('is found by each reference and by state, page by page', async () => {
    const { id } = await request('sandbox:direct');
    const active = await untilFinal(id);
    expect(active.state).toBe('active');
    const { quickpayId } = (await call('POST', `/v1/tokenizations/${id}/reveal`)).body;
    const found = async (query: string) => (await call('GET', `/v1/tokenizations?${query}`)).body;
    for (const query of [
      `merchantReferenceId=${active.merchantReferenceId}`,
      `orderReferenceId=${active.orderReferenceId}`,
      `quickpayId=${quickpayId}`,
      `quickpayId=${quickpayId}&state=active&customerId=cust-77&wait=5s`,
    ]) {
      expect((await found(query)).items, query).toMatchObject([{ id }]);
    }
    for (const query of [
      `merchantReferenceId=${active.merchantReferenceId}&state=failed`,
      'quickpayId=unknown',
      'customerId=unknown',
    ]) {
      expect(await found(query), query).toEqual({ items: [], nextCursor: null });
    }
    await request('sandbox:decline');
    const all = (await found('customerId=cust-77')).items.map((item: { id: string }) => item.id);
    expect(all.length).toBeGreaterThan(2);
    const paged: string[] = [];
    let cursor = '';
    for (;;) {
      const page = await found(`customerId=cust-77&limit=1${cursor}`);
      paged.push(...page.items.map((item: { id: string }) => item.id));
      if (page.nextCursor === null) break;
      cursor = `&cursor=${page.nextCursor}`;
    }
    expect(paged).toEqual(all);
  });

  test('reveals its QuickPay ID with a version and an audit row that names the key', async () => {
    const { id } = await request('sandbox:direct');
    const { version } = await untilFinal(id);
    const revealed = await call('POST', `/v1/tokenizations/${id}/reveal`, {
      headers: { 'x-request-id': 'reveal-1', 'content-type': 'application/json' },
    });
    expect(revealed.status).toBe(200);
    const issued = worker.sandbox.state().creations.map(({ quickpayId }) => quickpayId);
    expect(issued).toContain(revealed.body.quickpayId);
    const { events } = (await call('GET', `/v1/tokenizations/${id}/timeline`)).body;
    const event = events.find((row: { event: string }) => row.event === 'token.revealed');
    expect(event).toMatchObject({
      from: 'active',
      to: 'active',
      actor: { type: 'backend', id: 'shop' },
      traceId: 'reveal-1',
    });
    expect(event.version).toBeGreaterThan(version);
    expect(JSON.stringify(events)).not.toContain(revealed.body.quickpayId);
  });

  test('is revealed to every one of many concurrent callers, each with an audit row', async () => {
    const { id } = await request('sandbox:direct');
    await untilFinal(id);
    const reveals = await Promise.all(
      Array.from({ length: 60 }, async () => await call('POST', `/v1/tokenizations/${id}/reveal`)),
    );
    expect(reveals.map(({ status }) => status)).toEqual(reveals.map(() => 200));
    const { events } = (await call('GET', `/v1/tokenizations/${id}/timeline?limit=200`)).body;
    const rows = events.filter((row: { event: string }) => row.event === 'token.revealed');
    expect(rows).toHaveLength(reveals.length);
  });

  test('is disabled once by two concurrent requests', async () => {
    const { id } = await request('sandbox:direct');
    await untilFinal(id);
    const asked = await Promise.all([
      call('POST', `/v1/tokenizations/${id}/disable`),
      call('POST', `/v1/tokenizations/${id}/disable`),
    ]);
    for (const { status, body } of asked) {
      expect(status).toBe(202);
      expect(['disabling', 'disabled']).toContain(body.state);
    }
    await eventually('it is disabled', async () => (await untilFinal(id)).state === 'disabled');
    const { events } = (await call('GET', `/v1/tokenizations/${id}/timeline`)).body;
    const disabling = events.filter((row: { event: string }) => row.event === 'token.disabling');
    expect(disabling).toMatchObject([{ actor: { type: 'backend', id: 'shop' } }]);
  });

  test('is confirmed on request, without waiting for the schedule', async () => {
    const { id, merchantReferenceId } = await request('sandbox:redirect+dropped');
    await call('GET', `/v1/tokenizations/${id}?wait=15s`);
    const row = await shop.until(merchantReferenceId, 'awaiting_customer');
    await shop.decide(row, 'approve');
    const confirmed = await call('POST', `/v1/tokenizations/${id}/confirm`);
    expect(confirmed.status).toBe(202);
    expect((await untilFinal(id)).state).toBe('active');
    expect((await call('POST', `/v1/tokenizations/${id}/confirm`)).body.code).toBe('state_forbids');
    const { events } = (await call('GET', `/v1/tokenizations/${id}/timeline`)).body;
    expect(events.map(({ event }: { event: string }) => event)).toContain('reconcile.requested');
  });

  test('has a timeline whose pages are in order and without gaps', async () => {
    const { id } = await request('sandbox:direct');
    await untilFinal(id);
    // The push of the sandbox adds the last events.
    const whole = await eventually('the push is judged', async () => {
      const { body } = await call('GET', `/v1/tokenizations/${id}/timeline`);
      const events: readonly { event: string }[] = body.events;
      return events.some(({ event }) => event === 'callback.accepted') && body;
    });
    const versions = whole.events
      .filter((row: { entityType: string }) => row.entityType === 'tokenization')
      .map((row: { version: number }) => row.version);
    expect(versions).toEqual(versions.map((_: number, index: number) => index + 1));
    const first = (await call('GET', `/v1/tokenizations/${id}/timeline?limit=2`)).body;
    const rest = (await call('GET', `/v1/tokenizations/${id}/timeline?cursor=${first.nextCursor}`))
      .body;
    const ids = (page: { events: { id: string }[] }) => page.events.map((event) => event.id);
    expect([...ids(first), ...ids(rest)].slice(0, whole.events.length)).toEqual(ids(whole));
  });
});

describe('forwarded callback', () => {
  test('is stored, judged and counted like one of the public listener', async () => {
    const { id, merchantReferenceId } = await request('sandbox:redirect+dropped');
    const row = await shop.until(merchantReferenceId, 'awaiting_customer');
    const { fields } = await shop.decide(row, 'approve');
    const body = { ...redirectMessage(fields), sourceIp: '203.0.113.7' };
    const [first, again] = [
      await call('POST', '/v1/callbacks/redirect', { body }),
      await call('POST', '/v1/callbacks/redirect', { body }),
    ];
    expect([first.status, again.status]).toEqual([202, 202]);
    expect(again.body).toEqual({ id: first.body.id, isDuplicate: true });
    expect((await untilFinal(id)).state).toBe('active');
    const { events } = (await call('GET', `/v1/tokenizations/${id}/timeline`)).body;
    const received = events.find((event: { event: string }) => event.event === 'callback.received');
    expect(received).toMatchObject({
      entityId: first.body.id,
      channel: 'redirect',
      actor: { type: 'backend', id: 'shop' },
    });
  });
});

describe('dead letter', () => {
  test('is listed without its payload and can be redriven once', async () => {
    const queue = worker.app.backend.queue('tokenization');
    for (const name of ['one', 'two']) {
      await queue.add('tokenization.request', { v: 1, canary: 'canary' }, { jobId: `bad-${name}` });
    }
    const listed = await eventually('both are buried', async () => {
      const answer = await call('GET', '/v1/dead-letters');
      return answer.body.items.length >= 2 ? answer : undefined;
    });
    expect(listed.text).not.toContain('canary');
    const [first, second] = listed.body.items;
    expect(first).toMatchObject({ code: 'payload_invalid', queue: 'tokenization', state: 'dead' });
    const page = (await call('GET', '/v1/dead-letters?limit=1')).body;
    expect(page).toMatchObject({ items: [{ id: first.id }], nextCursor: first.id });
    const next = (await call('GET', `/v1/dead-letters?limit=1&cursor=${first.id}`)).body;
    expect(next.items).toMatchObject([{ id: second.id }]);
    const redriven = await call('POST', `/v1/dead-letters/${first.id}/redrive`);
    expect(redriven).toMatchObject({ status: 202, body: { state: 'redriven', redrives: 1 } });
    const again = await call('POST', `/v1/dead-letters/${first.id}/redrive`);
    expect(again).toMatchObject({ status: 409, body: { code: 'state_forbids' } });
  });
});
