import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect, onTestFinished } from 'vitest';
import { listenTo, type SubscriptionOptions } from '../../src/db/listen.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openPostgresProxy } from '../support/services/postgres-proxy.ts';

/** Ears behind a faulty network, and what they were told. */
async function listenThrough(databaseUrl: string, options: Partial<SubscriptionOptions> = {}) {
  const proxy = await openPostgresProxy(databaseUrl);
  const channel = `test_${randomUUID().replaceAll('-', '')}`;
  const told = { heard: [] as string[], lives: 0, faults: 0 };
  const listener = listenTo({
    url: proxy.url,
    channel,
    onNotification: (payload) => told.heard.push(payload),
    onLive: () => (told.lives += 1),
    onFault: () => (told.faults += 1),
    ...options,
  });
  onTestFinished(async () => {
    await proxy.close();
    await listener.close();
  });
  await eventually('it listens', listener.isLive);
  return { proxy, channel, told, listener };
}

describe('a listener', () => {
  test('hears, and says each time that it begins to, since what came before may have been missed', async ({
    databaseUrl,
    database,
  }) => {
    const { proxy, channel, told } = await listenThrough(databaseUrl);
    expect(told).toEqual({ heard: [], lives: 1, faults: 0 });
    const notify = async (payload: string): Promise<void> => {
      await sql`select pg_notify(${channel}, ${payload})`.execute(database.db);
      await eventually(`${payload} is heard`, () => told.heard.includes(payload));
    };
    await notify('first');
    proxy.cut();
    await eventually('it listens again', () => told.lives === 2);
    expect(told.faults).toBe(1);
    await notify('second');
    expect(told.heard).toEqual(['first', 'second']);
  });

  test('finds out by itself that a connection which stands hears nothing any more', async ({
    databaseUrl,
  }) => {
    const { proxy, told, listener } = await listenThrough(databaseUrl, {
      heartbeatMs: 20,
      answerWithinMs: 300,
    });
    proxy.setMode('black_hole');
    await eventually('it has noticed', () => !listener.isLive());
    proxy.setMode('pass');
    await eventually('it listens again', () => told.lives === 2);
    expect(told.faults).toBeGreaterThan(0);
  });
});
