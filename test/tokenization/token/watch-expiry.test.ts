import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, expect } from 'vitest';
import { withClient } from '../../../src/db/database.ts';
import { daysLeft, expiryWarningDays } from '../../../src/domain/expiry-watch.ts';
import { startOfDay } from '../../../src/domain/start-of-day.ts';
import { replayDelivery } from '../../../src/delivery/replay.ts';
import { testActor } from '../../support/builders.ts';
import { eventually } from '../../support/eventually.ts';
import { test } from '../../support/harness/fixtures.ts';
import { openShop } from '../../support/harness/shop.ts';
import {
  startWebhookReceiver,
  type WebhookReceiver,
} from '../../support/harness/webhook-receiver.ts';
import { startTestWorker, type TestWorker } from '../../support/harness/worker.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const zone = 'Asia/Shanghai';
let worker: TestWorker | undefined;
let receiver: WebhookReceiver | undefined;

afterEach(async () => {
  await worker?.close();
  await receiver?.close();
});

/** The date whose start is so many begun days away, as the gateway writes it. */
function dateIn(days: number): string {
  const now = new Date();
  const dates = [-1, 0, 1, 2].map((more) =>
    new Date(now.getTime() + (days + more) * 86_400_000).toISOString().slice(0, 10),
  );
  const found = dates.find((date) => {
    const start = startOfDay(date, zone);
    return start !== undefined && start > now && daysLeft(start, now) === days;
  });
  if (found === undefined) throw new Error(`no day begins in ${days} days`);
  return found;
}

test('the merchant is told 30, 7 and 1 days before the end of a token, once each, and which of them it is', async ({
  databaseUrl,
}) => {
  const listener = await startWebhookReceiver();
  receiver = listener;
  const running = await startTestWorker({
    databaseUrl,
    backend: 'postgres',
    sandbox: { faults: { expiryTime: dateIn(60) } },
    env: {
      MERCHANT_WEBHOOK_URL: listener.url,
      MERCHANT_WEBHOOK_SECRETS: secret,
      MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
      EXPIRY_ZONE: zone,
    },
  });
  if (running === undefined) throw new Error('the backend on PostgreSQL is always there');
  worker = running;
  const { operations } = running.app;
  const notices = () =>
    listener.events
      .map(({ headers, body }) => ({
        id: headers['webhook-id'],
        ...(new Webhook(secret).verify(body, headers) as { type: string; data: object }),
      }))
      .filter(({ type }) => type === 'token.expiring');

  const { tokenization } = await openShop(running).accept({ remark: 'sandbox:direct' });
  const row = async () =>
    await operations.db
      .selectFrom('tokenization')
      .selectAll()
      .where('id', '=', tokenization.id)
      .executeTakeFirstOrThrow();
  await eventually('its end is known', async () => (await row()).expires_at !== null);
  expect(notices()).toEqual([]);

  for (const [index, days] of expiryWarningDays.entries()) {
    // Time passes: the gateway's date comes nearer, and with it the look that was planned.
    const date = dateIn(days);
    running.sandbox.setFaults({ expiryTime: date });
    await withClient(databaseUrl, async (client) => {
      await client.query(
        'update token_lifecycle.tokenization set expires_at = $1, reconcile_at = now() where id = $2',
        [startOfDay(date, zone), tokenization.id],
      );
    });
    await eventually(`the notice of ${days} days`, () => notices().length > index);
  }
  const told = notices();
  const { expires_at: end } = await row();
  expect(told.map(({ data }) => data)).toMatchObject([
    { tokenizationId: tokenization.id, noticeDays: 30, state: 'active' },
    { tokenizationId: tokenization.id, noticeDays: 7 },
    { tokenizationId: tokenization.id, noticeDays: 1, expiresAt: end?.toISOString() },
  ]);
  expect(new Set(told.map(({ id }) => id)).size).toBe(3);

  // A replay says the same as the event that it repeats, whatever has become of the token since.
  const first = told[0];
  await replayDelivery(operations, first?.id ?? '', { actor: testActor });
  await eventually('the replay is told', () => notices().length > 3);
  expect(notices().at(-1)).toMatchObject({ id: first?.id, data: first?.data });
});
