import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect, onTestFinished } from 'vitest';
import { listenTo, type SubscriptionOptions } from '../../../src/db/connection/listen.ts';
import { eventually } from '../../support/eventually.ts';
import { test } from '../../support/harness/fixtures.ts';
import { openPostgresProxy } from '../../support/services/postgres-proxy.ts';

/** Subscribes through a faulty network and records what the callbacks get. */
async function subscribeThroughProxy(
  databaseUrl: string,
  options: Partial<SubscriptionOptions> = {},
) {
  const proxy = await openPostgresProxy(databaseUrl);
  const channel = `test_${randomUUID().replaceAll('-', '')}`;
  const recorded = { notifications: [] as string[], connects: 0, faults: 0 };
  const subscription = listenTo({
    url: proxy.url,
    channel,
    onNotification: (payload) => recorded.notifications.push(payload),
    onLive: () => (recorded.connects += 1),
    onFault: () => (recorded.faults += 1),
    ...options,
  });
  onTestFinished(async () => {
    await proxy.close();
    await subscription.close();
  });
  await eventually('it is subscribed', subscription.isLive);
  return { proxy, channel, recorded, subscription };
}

describe('subscription', () => {
  test('reconnects after a break and reports each connect', async ({ databaseUrl, database }) => {
    const { proxy, channel, recorded } = await subscribeThroughProxy(databaseUrl);
    expect(recorded).toEqual({ notifications: [], connects: 1, faults: 0 });
    const notify = async (payload: string): Promise<void> => {
      await sql`select pg_notify(${channel}, ${payload})`.execute(database.db);
      await eventually(`${payload} arrives`, () => recorded.notifications.includes(payload));
    };
    await notify('first');
    proxy.cut();
    await eventually('it is subscribed again', () => recorded.connects === 2);
    expect(recorded.faults).toBe(1);
    await notify('second');
    expect(recorded.notifications).toEqual(['first', 'second']);
  });

  test('detects an open connection that no longer delivers, and replaces it', async ({
    databaseUrl,
  }) => {
    const { proxy, recorded, subscription } = await subscribeThroughProxy(databaseUrl, {
      heartbeatMs: 20,
      answerWithinMs: 300,
    });
    proxy.setMode('black_hole');
    await eventually('it notices', () => !subscription.isLive());
    proxy.setMode('pass');
    await eventually('it is subscribed again', () => recorded.connects === 2);
    expect(recorded.faults).toBeGreaterThan(0);
  });
});
