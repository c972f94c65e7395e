import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listDeliveries } from '../../src/db/deliveries.ts';
import type { DeliveryRow } from '../../src/db/rows.ts';
import { replayDelivery } from '../../src/delivery/replay.ts';
import { enableWebhookEndpoint } from '../../src/delivery/endpoint.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openShop } from '../support/harness/shop.ts';
import { startWebhookReceiver, type WebhookReceiver } from '../support/harness/webhook-receiver.ts';
import { backends, startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const operator = { type: 'operator', id: 'test' } as const;
const secret = `whsec_${randomBytes(32).toString('base64')}`;

interface Told {
  readonly type: string;
  readonly data: {
    readonly tokenizationId: string;
    readonly merchantReferenceId: string;
    readonly sequence: number;
    readonly state: string;
  };
}

describe.for(backends)("telling the merchant's backend, with queues on %s", (backend) => {
  let receiver: WebhookReceiver;
  let worker: TestWorker | undefined;

  beforeEach(async () => {
    receiver = await startWebhookReceiver();
  });
  afterEach(async () => {
    await worker?.close();
    worker = undefined;
    await receiver.close();
  });

  async function start(
    databaseUrl: string,
    skip: (reason: string) => never,
    env: Readonly<Record<string, string>> = {},
  ): Promise<TestWorker> {
    const started = await startTestWorker({
      databaseUrl,
      backend,
      env: {
        MERCHANT_WEBHOOK_URL: receiver.url,
        MERCHANT_WEBHOOK_SECRETS: secret,
        MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
        MERCHANT_WEBHOOK_SCHEDULE_MS: '0,100,200',
        ...env,
      },
    });
    if (started === undefined) return skip('no Redis: this suite did not run on Redis');
    worker = started;
    return started;
  }

  const told = (): readonly Told[] =>
    receiver.events.map(({ headers, body }) => new Webhook(secret).verify(body, headers) as Told);

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

  test('each change that matters is told once, signed, with the version as its sequence', async ({
    databaseUrl,
    skip,
  }) => {
    const running = await start(databaseUrl, skip);
    const shop = openShop(running);
    const { tokenization } = await shop.accept();
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    await shop.followRedirect(await shop.decide(waiting, 'approve'));
    await shop.until(tokenization.merchant_reference_id, 'active');
    await untilDelivery(running, 'delivered', 'tokenization.redirect_issued');
    await untilDelivery(running, 'delivered', 'tokenization.activated');
    const events = told().toSorted((a, b) => a.data.sequence - b.data.sequence);
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
    expect(await findAuditBreaks(running.app.operations.db)).toEqual([]);
  });

  test('what is not taken is sent again under the same id until it is; a replay is a delivery of its own', async ({
    databaseUrl,
    skip,
  }) => {
    const running = await start(databaseUrl, skip);
    const { operations } = running.app;
    receiver.answers.push({ status: 500 }, { status: 503 });
    await openShop(running).accept({ remark: 'sandbox:refuse' });
    const delivered = await untilDelivery(running, 'delivered', 'tokenization.failed');
    expect(delivered.attempt).toBe(3);
    const { id } = await replayDelivery(operations, delivered.id, { actor: operator });
    await eventually('the replay is delivered', async () => {
      const rows = await listDeliveries(operations.db, 'delivered', 10);
      return rows.some((row) => row.id === id);
    });
    const ids = receiver.events.map(({ headers }) => headers['webhook-id']);
    expect(ids).toEqual(ids.map(() => delivered.event_id));
    expect(ids).toHaveLength(4);
    expect(await listDeliveries(operations.db, undefined, 10)).toContainEqual(delivered);
    const endpoint = await operations.db
      .selectFrom('webhook_endpoint')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(endpoint).toMatchObject({ state: 'enabled', failing_since: null });
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test('410 disables the address, with an alarm; what happens until an operator enables it is held and then told, each token in order', async ({
    databaseUrl,
    skip,
  }) => {
    const running = await start(databaseUrl, skip);
    const shop = openShop(running);
    receiver.answers.push({ status: 410 });
    await shop.accept({ remark: 'sandbox:refuse' });
    const gone = await untilDelivery(running, 'held', 'tokenization.failed');
    expect(gone.reason).toBe('gone');
    const { tokenization } = await shop.accept();
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    await shop.followRedirect(await shop.decide(waiting, 'approve'));
    expect(await untilDelivery(running, 'held', 'tokenization.activated')).toMatchObject({
      reason: 'endpoint_disabled',
    });
    expect(receiver.events).toHaveLength(1);
    expect(running.logs.some((line) => line.includes('webhook was disabled'))).toBe(true);
    const { operations } = running.app;
    // The first that is sent has to be sent again; what comes after it in its token waits.
    receiver.answers.push({ status: 500 }, { status: 500 });
    await enableWebhookEndpoint(operations, receiver.url, operator);
    await untilDelivery(running, 'delivered', 'tokenization.activated');
    await untilDelivery(running, 'delivered', 'tokenization.failed');
    const ofToken = told().filter(({ data }) => data.tokenizationId === tokenization.id);
    const sequences = ofToken.map(({ data }) => data.sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(new Set(ofToken.map(({ type }) => type))).toEqual(
      new Set(['tokenization.redirect_issued', 'tokenization.activated']),
    );
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test('an address that fails for too long is disabled, and what it did not take is held', async ({
    databaseUrl,
    skip,
  }) => {
    const running = await start(databaseUrl, skip, {
      MERCHANT_WEBHOOK_DISABLE_AFTER_MS: '1000',
      MERCHANT_WEBHOOK_SCHEDULE_MS: '0,200,400,800,800,800',
    });
    receiver.answers.push(...Array.from({ length: 20 }, () => ({ status: 500 })));
    await openShop(running).accept({ remark: 'sandbox:refuse' });
    await untilDelivery(running, 'held', 'tokenization.failed');
    const { operations } = running.app;
    const endpoint = await operations.db
      .selectFrom('webhook_endpoint')
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(endpoint.state).toBe('disabled');
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });
});
