import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, describe, expect } from 'vitest';
import { openDatabase, withClient } from '../../src/db/connection/database.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import { registerWebhookEndpoint, webhookEndpointId } from '../../src/delivery/endpoint.ts';
import { createHealthCheck, type HealthOptions } from '../../src/health/check-health.ts';
import { repeatingJobs } from '../../src/jobs/registry.ts';
import { openQueueBackend } from '../../src/queues/backend.ts';
import { testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openPostgresProxy } from '../support/services/postgres-proxy.ts';
import { freePort, spawnAnyRedis } from '../support/services/services.ts';

const open: { close: () => Promise<unknown> }[] = [];

afterEach(async () => {
  for (const closable of open.splice(0).toReversed()) await closable.close();
});

type Place = { databaseUrl: string; redisUrl?: string | undefined };

/** The health check of a process with these stores, with short limits. */
async function start({ databaseUrl, redisUrl }: Place, options: Partial<HealthOptions> = {}) {
  const database = await openDatabase({ url: databaseUrl, poolSizeMax: 4 });
  open.push(database);
  const backend = await openQueueBackend(
    redisUrl === undefined
      ? { kind: 'postgres', databaseUrl }
      : { kind: 'redis', urls: [redisUrl], prefix: `tlw-test-${randomUUID()}` },
    () => undefined,
  );
  open.push(backend);
  const door = createTransitionDoor(database.db, { statementsMax: 1 });
  const check = createHealthCheck({
    db: database.db,
    backend,
    door,
    repeating: [],
    gatewayCalls: { failing: () => [], refusing: () => [] },
    webhookCalls: { failing: () => [] },
    webhookEndpointId: undefined,
    ...options,
    // A loaded machine is no outage.
    limits: { answerWithinMs: 15_000, ...options.limits },
  });
  return { check, backend, door, db: database.db };
}

/** A Redis of the test's own, which it may spoil. */
async function startRedis(skip: (reason: string) => never): Promise<{ url: string; admin: Redis }> {
  const port = await freePort();
  const server = await spawnAnyRedis(port);
  if (server === undefined) return skip('no redis-server on the path');
  const url = `redis://127.0.0.1:${port}`;
  const admin = new Redis(url);
  open.push(server, { close: async () => admin.disconnect() });
  return { url, admin };
}

const allPass = {
  database: true,
  audit_partition: true,
  transition_door: true,
  queues: true,
  scans: true,
  gateway: true,
  webhook: true,
};

describe('the health of a process', () => {
  test('is ok on both backends, and shows each check', async ({ databaseUrl, redis }) => {
    for (const redisUrl of [undefined, redis.url]) {
      const { check } = await start({ databaseUrl, redisUrl });
      expect(await check()).toEqual({ status: 'ok', checks: allPass, causes: [] });
    }
  });

  test('is not ready on a PostgreSQL that still answers but takes no writes', async ({
    databaseUrl,
  }) => {
    const name = new URL(databaseUrl).pathname.slice(1);
    const setReadOnly = async (isReadOnly: boolean) =>
      await withClient(databaseUrl, async (client) => {
        await client.query('set default_transaction_read_only = off');
        const change = isReadOnly ? 'set default_transaction_read_only = on' : 'reset all';
        await client.query(`alter database ${name} ${change}`);
        // A demoted server ends its connections.
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid()`,
        );
      });
    const { check } = await start({ databaseUrl });
    await setReadOnly(true);
    try {
      await eventually('it is not ready', async () => (await check()).status === 'not_ready');
      expect(await check()).toMatchObject({
        status: 'not_ready',
        checks: { database: false },
        causes: expect.arrayContaining([expect.objectContaining({ reason: 'read_only' })]),
      });
    } finally {
      await setReadOnly(false);
    }
    await eventually('it is ready again', async () => (await check()).status === 'ok');
  });

  test('is not ready while PostgreSQL hangs, and one connection at most waits for it', async ({
    databaseUrl,
    redis,
  }) => {
    const proxy = await openPostgresProxy(databaseUrl);
    open.push(proxy);
    const { check } = await start(
      { databaseUrl: proxy.url, redisUrl: redis.url },
      { limits: { answerWithinMs: 500 } },
    );
    await eventually('it is ready', async () => (await check()).status === 'ok');
    const before = proxy.connections();
    proxy.setMode('black_hole');
    const hanging = {
      status: 'not_ready',
      // What can't be read is neither good nor bad.
      checks: { database: false, transition_door: true, queues: true, gateway: true },
      causes: [{ check: 'database', reason: 'no_answer' }],
    };
    for (let time = 0; time < 3; time += 1) {
      const { status, checks, causes } = await check();
      expect({ status, checks, causes }).toMatchObject(hanging);
      expect(Object.keys(checks)).toEqual(Object.keys(hanging.checks));
    }
    expect(proxy.connections()).toBe(before);
    proxy.cut();
    proxy.setMode('pass');
    await eventually('it is ready again', async () => (await check()).status === 'ok');
  });

  test('is not ready on a Redis that was demoted, or that is full', async ({
    databaseUrl,
    skip,
  }) => {
    const { url, admin } = await startRedis(skip);
    const { check } = await start({ databaseUrl, redisUrl: url });
    const causesOf = async () => {
      const { status, causes } = await check();
      return [status, ...causes.map(({ check: name, reason }) => `${name} ${reason}`)];
    };
    expect(await causesOf()).toEqual(['ok']);
    await admin.config('SET', 'maxmemory', '1');
    expect(await causesOf()).toEqual(['not_ready', 'queues full']);
    await admin.config('SET', 'maxmemory', '0');
    await admin.replicaof('127.0.0.1', 1);
    await eventually('it is read only', async () =>
      (await causesOf()).includes('queues read_only'),
    );
    await admin.replicaof('NO', 'ONE');
    await eventually('it is ready again', async () => (await check()).status === 'ok');
  });

  test('is not ready without the audit partition of this month', async ({ databaseUrl }) => {
    const { check } = await start({ databaseUrl });
    const month = new Date().toISOString().slice(0, 7).replace('-', '_');
    await withClient(databaseUrl, async (client) => {
      await client.query(`drop table token_lifecycle.audit_event_${month}`);
    });
    expect(await check()).toMatchObject({
      status: 'not_ready',
      checks: { ...allPass, audit_partition: false },
      causes: [{ check: 'audit_partition', reason: 'missing' }],
    });
    // The remedy that doctor names.
    await migrate(databaseUrl);
    expect((await check()).status).toBe('ok');
  });

  test('is not ready while a locked row holds every statement of the transition door', async ({
    databaseUrl,
  }) => {
    const { check, door, db } = await start({ databaseUrl }, { limits: { doorStuckMs: 50 } });
    const url = 'https://shop.example/events';
    await registerWebhookEndpoint({ db, door }, url);
    const row = { id: webhookEndpointId(url), version: 1, state: 'enabled' };
    await withClient(databaseUrl, async (client) => {
      await client.query('begin; select from token_lifecycle.webhook_endpoint for update');
      const change = door.apply({
        entity: 'webhook_endpoint',
        row,
        event: 'webhook_endpoint.failing',
        audit: { actor: testActor },
      });
      await eventually('the door is stuck', async () => (await check()).status !== 'ok');
      expect(await check()).toMatchObject({
        status: 'not_ready',
        causes: [{ check: 'transition_door', reason: 'exhausted' }],
      });
      await client.query('rollback');
      await change;
    });
    expect((await check()).status).toBe('ok');
  });

  test('is degraded while a queue is paused, on both backends, and names the queue', async ({
    databaseUrl,
    redis,
  }) => {
    for (const redisUrl of [undefined, redis.url]) {
      const { check, backend } = await start({ databaseUrl, redisUrl });
      await backend.queue('notify').pause();
      expect(await check()).toMatchObject({
        status: 'degraded',
        checks: { ...allPass, queues: false },
        causes: [{ check: 'queues', reason: 'paused', names: ['notify'] }],
      });
      await backend.queue('notify').resume();
      expect((await check()).status).toBe('ok');
    }
  });

  test('is degraded while a scan is late, but not at once after a pause of all workers', async ({
    databaseUrl,
  }) => {
    const everyMs = 20;
    const { check } = await start(
      { databaseUrl },
      { repeating: repeatingJobs(everyMs), limits: { lateFloorMs: 0 } },
    );
    expect((await check()).status).toBe('ok');
    await eventually('the scans are late', async () => (await check()).status !== 'ok');
    expect(await check()).toMatchObject({
      status: 'degraded',
      causes: [
        {
          check: 'scans',
          reason: 'late',
          names: expect.arrayContaining(['reconciliation.scan', 'access-token.scan']),
        },
      ],
    });
  });

  test('is degraded while the webhook is disabled, or fails, and while the gateway fails', async ({
    databaseUrl,
  }) => {
    const url = 'https://shop.example/events';
    const failing = { gateway: ['create'] as string[], refusing: ['cancel'] as string[] };
    const { check, db, door } = await start(
      { databaseUrl },
      {
        webhookEndpointId: webhookEndpointId(url),
        gatewayCalls: { failing: () => failing.gateway, refusing: () => failing.refusing },
        limits: { webhookFailingMs: 0 },
      },
    );
    await registerWebhookEndpoint({ db, door }, url);
    expect(await check()).toMatchObject({
      status: 'degraded',
      causes: [
        { check: 'gateway', reason: 'failing', names: ['create'] },
        { check: 'gateway', reason: 'refusing', names: ['cancel'] },
      ],
    });
    failing.gateway = [];
    expect(await check()).toMatchObject({
      checks: { gateway: false },
      causes: [{ check: 'gateway', reason: 'refusing', names: ['cancel'] }],
    });
    failing.refusing = [];
    const set = db.updateTable('webhook_endpoint');
    await set.set({ failing_since: new Date(0) }).execute();
    expect((await check()).causes).toMatchObject([{ check: 'webhook', reason: 'failing' }]);
    await set.set({ state: 'disabled' }).execute();
    expect((await check()).causes).toMatchObject([{ check: 'webhook', reason: 'disabled' }]);
  });
});
