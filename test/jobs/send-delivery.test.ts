import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeliveries } from '../../src/db/deliveries.ts';
import type { DeliveryRow } from '../../src/db/rows.ts';
import { replayDelivery } from '../../src/delivery/replay.ts';
import { enableWebhookEndpoint } from '../../src/delivery/endpoint.ts';
import { eventually } from '../support/eventually.ts';
import { openShop } from '../support/harness/shop.ts';
import type { WebhookReceiver } from '../support/harness/webhook-receiver.ts';
import { backends, type TestWorker } from '../support/harness/worker.ts';
import { type StartWorker, test } from '../support/harness/worker-test.ts';

const operator = { type: 'operator', id: 'test' } as const;
const secret = `whsec_${randomBytes(32).toString('base64')}`;

interface EventBody {
  readonly type: string;
  readonly timestamp: string;
  readonly data: {
    readonly tokenizationId: string;
    readonly merchantReferenceId: string;
    readonly sequence: number;
    readonly state: string;
  };
}

describe.for(backends)('delivery.send, with queues on %s', (backend) => {
  async function start(
    startWorker: StartWorker,
    receiver: WebhookReceiver,
    env: Readonly<Record<string, string>> = {},
  ): Promise<TestWorker> {
    return await startWorker({
      backend,
      env: {
        MERCHANT_WEBHOOK_URL: receiver.url,
        MERCHANT_WEBHOOK_SECRETS: secret,
        MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
        MERCHANT_WEBHOOK_SCHEDULE_MS: '0,100,200',
        ...env,
      },
    });
  }

  const receivedEvents = ({ events }: WebhookReceiver): readonly EventBody[] =>
    events.map(({ headers, body }) => new Webhook(secret).verify(body, headers) as EventBody);

  async function untilDelivery(
    { app }: TestWorker,
    state: DeliveryRow['state'],
    type: string,
  ): Promise<DeliveryRow> {
    return await eventually(`${type} is ${state}`, async () => {
      const rows = await listDeliveries(app.operations.db, state, 50);
      return rows.find(({ event_type }) => event_type === type);
    });
  }

  test('each change that has a webhook event is sent once, signed, with its version as the sequence', async ({
    startWorker,
    receiver,
  }) => {
    const worker = await start(startWorker, receiver);
    const shop = openShop(worker);
    const { tokenization } = await shop.accept();
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    await shop.followRedirect(await shop.decide(waiting, 'approve'));
    await shop.until(tokenization.merchant_reference_id, 'active');
    await untilDelivery(worker, 'delivered', 'tokenization.redirect_issued');
    await untilDelivery(worker, 'delivered', 'tokenization.activated');
    const events = receivedEvents(receiver).toSorted((a, b) => a.data.sequence - b.data.sequence);
    expect(events.map(({ type, data }) => [type, data.state])).toEqual([
      ['tokenization.redirect_issued', 'awaiting_customer'],
      ['tokenization.activated', 'active'],
    ]);
    expect(events[0]?.data).toEqual({
      tokenizationId: tokenization.id,
      merchantReferenceId: tokenization.merchant_reference_id,
      sequence: 3,
      state: 'awaiting_customer',
    });
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  });

  test('a failed event is sent again under its id until it succeeds; a replay is sent under it too', async ({
    startWorker,
    receiver,
  }) => {
    const worker = await start(startWorker, receiver);
    const { operations } = worker.app;
    receiver.answers.push({ status: 500 }, { status: 503 });
    await openShop(worker).accept({ remark: 'sandbox:refuse' });
    const delivered = await untilDelivery(worker, 'delivered', 'tokenization.failed');
    expect(delivered.attempt).toBe(3);
    const { id } = await replayDelivery(operations, delivered.id, { actor: operator });
    await eventually('the replay is delivered', async () => {
      const rows = await listDeliveries(operations.db, 'delivered', 10);
      return rows.some((row) => row.id === id);
    });
    const ids = receiver.events.map(({ headers }) => headers['webhook-id']);
    expect(ids).toEqual(ids.map(() => delivered.event_id));
    expect(ids).toHaveLength(4);
    const timestamps = receivedEvents(receiver).map(({ timestamp }) => timestamp);
    expect(timestamps).toEqual(ids.map(() => delivered.created_at.toISOString()));
    expect(await listDeliveries(operations.db, undefined, 10)).toContainEqual(delivered);
    const endpoint = await operations.db
      .selectFrom('webhook_endpoint')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(endpoint).toMatchObject({ state: 'enabled', failing_since: null });
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test('a 410 disables the address; its held events are sent in order once an operator enables it', async ({
    startWorker,
    receiver,
  }) => {
    const worker = await start(startWorker, receiver);
    const shop = openShop(worker);
    receiver.answers.push({ status: 410 });
    await shop.accept({ remark: 'sandbox:refuse' });
    const gone = await untilDelivery(worker, 'held', 'tokenization.failed');
    expect(gone.reason).toBe('gone');
    const { tokenization } = await shop.accept();
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    await shop.followRedirect(await shop.decide(waiting, 'approve'));
    expect(await untilDelivery(worker, 'held', 'tokenization.activated')).toMatchObject({
      reason: 'endpoint_disabled',
    });
    expect(receiver.events).toHaveLength(1);
    expect(worker.logs.some((line) => line.includes('webhook was disabled'))).toBe(true);
    const { operations } = worker.app;
    // The first event needs a second attempt, and later events of its token wait for it.
    receiver.answers.push({ status: 500 }, { status: 500 });
    await enableWebhookEndpoint(operations, receiver.url, operator);
    await untilDelivery(worker, 'delivered', 'tokenization.activated');
    await untilDelivery(worker, 'delivered', 'tokenization.failed');
    const ofToken = receivedEvents(receiver).filter(
      ({ data }) => data.tokenizationId === tokenization.id,
    );
    const sequences = ofToken.map(({ data }) => data.sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(new Set(ofToken.map(({ type }) => type))).toEqual(
      new Set(['tokenization.redirect_issued', 'tokenization.activated']),
    );
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test('an address that fails for too long is disabled, and its failed event is held', async ({
    startWorker,
    receiver,
  }) => {
    const worker = await start(startWorker, receiver, {
      MERCHANT_WEBHOOK_DISABLE_AFTER_MS: '1000',
      MERCHANT_WEBHOOK_SCHEDULE_MS: '0,200,400,800,800,800',
    });
    receiver.answers.push(...Array.from({ length: 20 }, () => ({ status: 500 })));
    await openShop(worker).accept({ remark: 'sandbox:refuse' });
    await untilDelivery(worker, 'held', 'tokenization.failed');
    const { operations } = worker.app;
    const endpoint = await operations.db
      .selectFrom('webhook_endpoint')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(endpoint.state).toBe('disabled');
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });
});
