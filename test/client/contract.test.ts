import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createTokenClient,
  type TimelineEvent,
  type TokenClient,
} from '../../src/client/client.ts';
import {
  type DirectTokenClient,
  openDirectTokenClient,
} from '../../src/direct-client/direct-client.ts';
import { enqueueIn } from '../../src/direct-client/enqueue.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { setAway } from '../support/services/database.ts';
import { connectEnqueuer } from '../support/harness/enqueuer.ts';
import { eventually } from '../support/eventually.ts';
import type { Shop } from '../support/harness/shop.ts';
import { redirectMessage, startShopWorker } from '../support/harness/shop-worker.ts';
import { probe } from '../support/harness/token-harness.ts';
import type { TestWorker } from '../support/harness/worker.ts';

let databaseUrl: string;
let worker: TestWorker;
let shop: Shop;
let direct: DirectTokenClient;
let close: () => Promise<void>;
const clients = new Map<string, TokenClient>();

beforeAll(async () => {
  const started = await startShopWorker('over-http');
  ({ databaseUrl, worker, shop, close } = started);
  const { apiUrl: url, apiKey } = started;
  clients.set('over-http', createTokenClient({ url, apiKey, retriesMax: 0 }));
  direct = await openDirectTokenClient({
    databaseUrl,
    encryptionKeys: worker.encryptionKeys,
    name: 'on-postgres',
    returnUrlHosts: ['shop.example'],
  });
  clients.set('on-postgres', direct);
});

afterAll(async () => {
  await direct.close();
  await close();
});

const requestOf = (remark: string) => shop.withUrls(requestPayload({ remark }));
const clientOf = (way: string): TokenClient => {
  const client = clients.get(way);
  if (client === undefined) throw new Error(`there is no client ${way}`);
  return client;
};
const canary = 'CANARY-4111';
/** The audit rows of one story, by client. */
const stories = new Map<string, readonly object[]>();

describe.for(['over-http', 'on-postgres'])('client %s', (way) => {
  test('gets the redirect URL, forwards the redirect and the push, and gets the result', async () => {
    const client = clientOf(way);
    const request = requestOf('sandbox:redirect+dropped');
    const { id } = await client.requestTokenization(request);
    expect((await client.requestTokenization(request)).id).toBe(id);
    const { redirectUrl } = await client.waitForRedirectUrl(id);
    expect(redirectUrl).toContain(worker.sandbox.checkoutUrl);

    const row = await shop.until(request.merchant.referenceId, 'awaiting_customer');
    const { fields } = await shop.decide(row, 'approve');
    const message = redirectMessage(fields);
    const kept = await client.forwardRedirect(message);
    expect(await client.forwardRedirect(message)).toEqual({ id: kept.id, isDuplicate: true });
    expect((await client.forwardNotify(message)).isDuplicate).toBe(false);
    expect(await client.waitForResult(id)).toMatchObject({ id, state: 'active' });

    // The first judged message made it active; the other one is judged a moment later.
    const timeline = await eventually('both messages are in the timeline', async () => {
      const all = await client.getTimeline(id);
      return all.filter(({ event }) => event === 'callback.received').length >= 2 && all;
    });
    const received = timeline.find(({ entityId }) => entityId === kept.id);
    expect(received).toMatchObject({
      event: 'callback.received',
      actor: { type: 'backend', id: way },
    });
    const events = timeline.map(({ event }) => event);
    expect(events).toEqual(
      expect.arrayContaining([
        'tokenization.requested',
        'tokenization.activated',
        'callback.accepted',
      ]),
    );
  });

  test('finds a tokenization by each reference, reveals and disables its token', async () => {
    const client = clientOf(way);
    const customerId = `cust-${way}`;
    const request = { ...requestOf('sandbox:direct'), customer: { id: customerId } };
    const { id } = await client.requestTokenization(request);
    const active = await client.waitForResult(id);
    const quickpayId = await client.revealToken(id);
    expect(worker.sandbox.state().creations.map((made) => made.quickpayId)).toContain(quickpayId);
    const { merchantReferenceId, orderReferenceId } = active;
    for (const filter of [
      { merchantReferenceId },
      { orderReferenceId: orderReferenceId ?? '' },
      { quickpayId },
      { customerId, state: 'active', quickpayId },
    ] as const) {
      expect((await client.findTokenization(filter))?.id).toBe(id);
    }
    expect(await client.findTokenization({ quickpayId: 'unknown' })).toBeUndefined();
    const { id: next } = await client.requestTokenization({
      ...requestOf('sandbox:direct'),
      customer: { id: customerId },
    });
    const first = await client.findTokenizations({ customerId }, { limit: 1 });
    const cursor = first.nextCursor ?? '';
    const second = await client.findTokenizations({ customerId }, { limit: 1, cursor });
    expect([...first.items, ...second.items].map((item) => item.id)).toEqual([next, id]);
    expect(second.nextCursor).toBeNull();

    expect(['disabling', 'disabled']).toContain((await client.disableToken(id)).state);
    await eventually('it is disabled', async () => {
      const { state } = await client.waitForResult(id);
      return state === 'disabled';
    });
    const timeline = await client.getTimeline(id);
    stories.set(way, backendChanges(timeline));
    const revealed = timeline.find(({ event }) => event === 'token.revealed');
    expect(revealed).toMatchObject({
      actor: { type: 'backend', id: way },
      traceId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(JSON.stringify(timeline)).not.toContain(quickpayId);
  });

  test('makes the worker query the gateway at once', async () => {
    const client = clientOf(way);
    const request = requestOf('sandbox:redirect+dropped');
    const { id } = await client.requestTokenization(request);
    await client.waitForRedirectUrl(id);
    const row = await shop.until(request.merchant.referenceId, 'awaiting_customer');
    await shop.decide(row, 'decline');
    await client.confirmTokenization(id);
    expect((await client.waitForResult(id)).state).toBe('failed');
  });

  test('ends a wait by its timeout or its signal', async () => {
    const client = clientOf(way);
    const { id } = await client.requestTokenization(requestOf('sandbox:redirect+dropped'));
    await client.waitForRedirectUrl(id);
    const fault = await faultOf(client.waitForResult(id, { timeoutMs: 200 }));
    expect(fault).toMatchObject({ code: 'timeout', isRetryable: true });
    for (const signal of [AbortSignal.timeout(200), AbortSignal.abort(new Error('enough'))]) {
      const gaveUp = client.waitForResult(id, { signal });
      await expect(gaveUp).rejects.toSatisfy((error) => error === signal.reason);
    }
  });

  test('reads, records and reports an access token', async () => {
    const client = clientOf(way);
    const first = await client.getAccessToken();
    expect(await probe(worker.sandbox, first.accessToken)).toBe(true);
    const again = await Promise.all([client.getAccessToken(), client.getAccessToken('default')]);
    expect(again.map(({ generation }) => generation)).toEqual([first.generation, first.generation]);
    expect(first.secondsLeft).toBeGreaterThan(60);
    // The HTTP client answers from its cache; the direct client records each read.
    const wanted = way === 'over-http' ? 1 : 3;
    await eventually(`${wanted} reads are recorded`, async () => {
      const { reads } = await worker.app.operations.db
        .selectFrom('access_token_read')
        .select(({ fn }) => fn.sum<string>('reads').as('reads'))
        .where('actor_id', '=', way)
        .where('generation', '=', first.generation)
        .executeTakeFirstOrThrow();
      return Number(reads) === wanted;
    });
    // A generation can be reported once, so the report of the other client is undone.
    await withClient(databaseUrl, async (admin) => {
      await admin.query('update token_lifecycle.access_token set due_at = expires_at');
    });
    await client.reportInvalidAccessToken('default', first.generation);
    const reports = await worker.app.operations.db
      .selectFrom('audit_event')
      .select(['actor_id', 'detail'])
      .where('event', '=', 'access_token.reported_invalid')
      .where('actor_id', '=', way)
      .execute();
    expect(reports).toMatchObject([{ detail: { generation: first.generation } }]);
  });

  test('throws errors with code and paths, and never a value', async () => {
    const client = clientOf(way);
    const good = requestOf('sandbox:redirect+dropped');
    const { id } = await client.requestTokenization(good);
    const unknown = randomUUID();
    const faults: readonly [() => Promise<unknown>, string, readonly string[]][] = [
      [
        async () =>
          await client.requestTokenization({ ...good, order: { ...good.order, currency: canary } }),
        'payload_invalid',
        ['order.currency'],
      ],
      [
        async () => await client.requestTokenization(Object.assign({ [canary]: canary }, good)),
        'payload_invalid',
        ['*'],
      ],
      [
        async () => await client.requestTokenization({ ...good, customer: { id: canary } }),
        'reference_conflict',
        ['merchant.referenceId'],
      ],
      [
        async () =>
          await client.requestTokenization({ ...requestOf(''), credential: canary.toLowerCase() }),
        'credential_not_found',
        ['credential'],
      ],
      [
        async () =>
          await client.requestTokenization({
            ...requestOf(''),
            returnUrl: `https://evil.example/${canary}`,
          }),
        'return_url_not_allowed',
        ['returnUrl'],
      ],
      [async () => await client.getTokenization(unknown), 'tokenization_not_found', []],
      [async () => await client.waitForResult(unknown), 'tokenization_not_found', []],
      [async () => await client.getTimeline(unknown), 'tokenization_not_found', []],
      [async () => await client.revealToken(unknown), 'tokenization_not_found', []],
      [async () => await client.revealToken(id), 'state_forbids', []],
      [async () => await client.disableToken(id), 'state_forbids', []],
      [async () => await client.getTokenization(canary), 'payload_invalid', []],
      [
        async () => await client.findTokenization({ customerId: canary.repeat(20) }),
        'payload_invalid',
        ['customerId'],
      ],
      [
        async () => await client.findTokenizations({ state: 'active' }, { limit: 0 }),
        'payload_invalid',
        ['limit'],
      ],
      [
        async () => await client.findTokenizations({ state: 'active' }, { cursor: canary }),
        'payload_invalid',
        ['cursor'],
      ],
      [
        async () => await client.findTokenization({}),
        'payload_invalid',
        ['merchantReferenceId', 'orderReferenceId', 'quickpayId', 'customerId', 'state'],
      ],
      [
        async () => await client.getAccessToken('none-of-this-name'),
        'credential_not_found',
        ['credential'],
      ],
      [async () => await client.getAccessToken(canary), 'payload_invalid', []],
      [
        async () => await client.reportInvalidAccessToken('none-of-this-name', 1),
        'credential_not_found',
        ['credential'],
      ],
      // A credential of this name exists, but it belongs to another family.
      [async () => await client.revealOpccount('default'), 'credential_not_found', ['credential']],
      [
        async () => await client.reportInvalidAccessToken('default', -1),
        'payload_invalid',
        ['generation'],
      ],
      [
        async () => await client.forwardNotify({ body: canary.repeat(10_000) }),
        'payload_invalid',
        ['body'],
      ],
    ];
    for (const [call, code, paths] of faults) {
      const fault = await faultOf(call());
      expect(fault).toMatchObject({ code, paths, isRetryable: false });
      const printed = JSON.stringify([fault, fault.message, fault.stack, String(fault.cause)]);
      expect(printed.toUpperCase()).not.toContain(canary);
    }
  });
});

test('both clients can wait by reference for a request that is enqueued in a transaction', async () => {
  const shopper = await connectEnqueuer(databaseUrl);
  for (const client of clients.values()) {
    const request = requestOf('sandbox:direct');
    const { referenceId: merchantReferenceId } = request.merchant;
    await shopper.client.query('begin');
    const id = await enqueueIn(shopper.client, 'tokenization.request', request);
    const waiting = client.waitForResult({ merchantReferenceId });
    await shopper.client.query('commit');
    expect(await waiting).toMatchObject({ id, state: 'active', merchantReferenceId });
  }
  await shopper.close();
});

test('both clients leave the same audit rows for the same calls', () => {
  const [first, second] = [...stories.values()];
  expect(first).toHaveLength(3);
  expect(second).toEqual(first);
});

test('both clients throw database_unavailable during an outage and work after it', async () => {
  await setAway(databaseUrl, true);
  for (const client of clients.values()) {
    const fault = await faultOf(client.findTokenization({ state: 'active' }));
    expect(fault).toMatchObject({ code: 'database_unavailable', isRetryable: true });
  }
  await setAway(databaseUrl, false);
  for (const client of clients.values()) {
    await eventually(
      'it answers again',
      async () =>
        await client.findTokenization({ state: 'active' }).then(
          () => true,
          () => false,
        ),
    );
  }
});

/** The changes that the backend itself caused, without fields that differ between runs. */
function backendChanges(timeline: readonly TimelineEvent[]): readonly object[] {
  return timeline
    .filter(({ actor }) => actor.type === 'backend')
    .map(({ entityType, event, from, to, queue, jobId, channel, reason, traceId, detail }) => ({
      entityType,
      event,
      from,
      to,
      queue,
      jobId,
      channel,
      reason,
      detail,
      hasTrace: traceId !== null,
    }));
}
