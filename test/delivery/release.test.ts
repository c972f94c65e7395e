import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { withClient } from '../../src/db/connection/database.ts';
import type { DeliveryRow } from '../../src/db/rows.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import type { JobDependencies } from '../../src/execution/dependencies.ts';
import { replayDelivery } from '../../src/delivery/replay.ts';
import { registerWebhookEndpoint } from '../../src/delivery/endpoint.ts';
import { Secret } from '../../src/security/secret.ts';
import { createWebhookSender } from '../../src/webhooks/sender.ts';
import { testActor } from '../support/builders.ts';
import {
  type JobHarness,
  openJobHarness,
  redirectWithoutPush,
} from '../support/harness/job-harness.ts';
import { test as base } from '../support/harness/worker-test.ts';

/**
 * A harness whose changes commit deliveries. Its own dependencies have no webhook address; `online`
 * has the receiver's.
 */
const test = base.extend('outbound', async ({ database, databaseUrl, receiver }, { onCleanup }) => {
  const door = createTransitionDoor(database.db, { isAnnouncing: true });
  const harness = await openJobHarness({ db: database.db, door, databaseUrl });
  const webhooks = createWebhookSender({
    url: receiver.url,
    secrets: [new Secret(`whsec_${randomBytes(32).toString('base64')}`)],
    allowPrivate: true,
  });
  await registerWebhookEndpoint(harness.dependencies, receiver.url);
  onCleanup(async () => {
    expect(await findAuditBreaks(database.db)).toEqual([]);
    await webhooks.close();
    await harness.close();
    await door.close();
  });
  const online: JobDependencies = { ...harness.dependencies, webhooks };
  const deliveries = async (): Promise<readonly DeliveryRow[]> =>
    await database.db.selectFrom('delivery').selectAll().orderBy('sequence').execute();
  return { harness, online, deliveries };
});

const send = async (
  harness: JobHarness,
  { id }: DeliveryRow,
  as?: JobDependencies,
): Promise<string> => await harness.run('delivery.send', { deliveryId: id }, as);

test('once an address is enabled, the worker sends the held events of each token in order', async ({
  outbound: { harness, online, deliveries },
  receiver,
}) => {
  const row = await harness.open(redirectWithoutPush);
  await harness.decide(row.id, 'approve');
  await harness.confirm(row.id);
  const sendAll = async (as?: JobDependencies): Promise<readonly string[]> => {
    const results: string[] = [];
    for (const delivery of (await deliveries()).toReversed()) {
      results.push(await send(harness, delivery, as));
    }
    return results.toReversed();
  };
  expect(await sendAll()).toEqual(['held_no_endpoint', 'held_no_endpoint']);
  expect(await sendAll(online)).toEqual(['not_due', 'not_due']);
  expect(await harness.run('reconciliation.scan', {})).toBe('nothing_due');

  // A new event of the token waits behind the held ones, also when its job runs first.
  await harness.run('token.disable', { tokenizationId: row.id });
  const expected = [
    ['delivered', 'not_due', 'held_blocked_by_earlier'],
    ['already_settled', 'delivered', 'not_due'],
    ['already_settled', 'already_settled', 'delivered'],
  ];
  for (const results of expected) {
    expect(await harness.run('reconciliation.scan', {}, online)).toBe('work_found');
    expect(await sendAll(online)).toEqual(results);
  }
  expect(await harness.run('reconciliation.scan', {}, online)).toBe('nothing_due');
  const types = receiver.events.map(({ body }) => (JSON.parse(body) as { type: string }).type);
  expect(types).toEqual([
    'tokenization.redirect_issued',
    'tokenization.activated',
    'token.disabled',
  ]);
});

test('a held event fails after its maximum age, although it was released and held again', async ({
  outbound: { harness, online, deliveries },
  databaseUrl,
}) => {
  const { id } = await harness.open('sandbox:refuse');
  const [delivery] = await deliveries();
  if (delivery === undefined) throw new Error('the refusal committed no delivery');
  const age = async (interval: string) =>
    await withClient(databaseUrl, async (client) => {
      await client.query(
        `update token_lifecycle.delivery set held_at = held_at - $1::interval, due_at = due_at - $1::interval`,
        [interval],
      );
    });
  expect(await send(harness, delivery)).toBe('held_no_endpoint');
  await age('6 days');
  await harness.run('reconciliation.scan', {}, online);
  expect(await send(harness, delivery)).toBe('held_no_endpoint');
  await age('2 days');
  expect(await send(harness, delivery, online)).toBe('failed_held_too_long');
  expect(await harness.events(delivery.id)).toEqual([
    'delivery.created',
    'delivery.held',
    'delivery.released',
    'delivery.held',
    'delivery.failed',
  ]);
  // An operator can still replay a failed event.
  const replay = await replayDelivery(harness.dependencies, delivery.id, { actor: testActor });
  expect(await harness.run('delivery.send', { deliveryId: replay.id }, online)).toBe('delivered');
  expect((await harness.row(id)).state).toBe('failed');
});
