import { Redis } from 'ioredis';
import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { setAway } from '../support/services/database.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { freePort, spawnAnyRedis } from '../support/services/services.ts';
import { openShop } from '../support/harness/shop.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

async function accept(worker: TestWorker): Promise<string> {
  const { tokenization } = await openShop(worker).accept({ remark: 'sandbox:direct' });
  return tokenization.id;
}

async function untilActive(worker: TestWorker, id: string): Promise<void> {
  await eventually('it becomes active', async () => {
    const row = await findTokenization(worker.app.operations.db, id);
    return row?.state === 'active';
  });
}

async function pushOrphan(worker: TestWorker): Promise<Response> {
  return await fetch(`${worker.app.urls?.public}/callbacks/notify`, {
    method: 'POST',
    headers: { 'content-type': 'application/xml' },
    body:
      `<response><account>${worker.account.account}</account><terminal>${worker.account.terminal}</terminal>` +
      '<merchant_reference_id>unheard-of</merchant_reference_id><quickpay_status>0</quickpay_status></response>',
  });
}

describe('outages', () => {
  test('requests and pushes survive a Redis outage, and are processed after it', async ({
    databaseUrl,
    skip,
  }) => {
    const port = await freePort();
    const first = await spawnAnyRedis(port);
    if (first === undefined) return skip('no redis-server on the path');
    const url = `redis://127.0.0.1:${port}`;
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'redis',
      env: { REDIS_URL: url },
    });
    if (worker === undefined) return skip('no Redis');
    try {
      await untilActive(worker, await accept(worker));
      await first.close();

      const acceptedDuring = await accept(worker);
      const pushed = await pushOrphan(worker);
      expect([pushed.status, await pushed.text()]).toEqual([200, 'receive-ok']);
      const ready = await fetch(`${worker.app.urls?.private}/health/ready`);
      expect([ready.status, await ready.json()]).toEqual([
        503,
        expect.objectContaining({
          status: 'not_ready',
          checks: expect.objectContaining({ database: true, queues: false }),
          causes: [{ check: 'queues', reason: 'no_answer' }],
        }),
      ]);
      const forCallbacks = `${worker.app.urls?.private}/health/ready?for=callbacks`;
      expect((await fetch(forCallbacks)).status).toBe(200);
      expect((await fetch(`${worker.app.urls?.private}/health/live`)).status).toBe(200);

      const second = await spawnAnyRedis(port);
      try {
        await untilActive(worker, acceptedDuring);
        await eventually('the push is judged', async () => {
          const rows = await worker.app.operations.db
            .selectFrom('callback')
            .select('state')
            .where('merchant_reference_id', '=', 'unheard-of')
            .execute();
          return rows[0]?.state === 'orphaned';
        });
        await untilActive(worker, await accept(worker));
      } finally {
        await worker.close();
        await second?.close();
      }
    } finally {
      await worker.close();
    }
    await expectEveryVersionAudited(databaseUrl);
  });

  test('no request is lost when Redis is emptied', async ({ databaseUrl, skip }) => {
    const redis = await spawnAnyRedis(await freePort());
    if (redis === undefined) return skip('no redis-server on the path');
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'redis',
      env: { REDIS_URL: redis.url },
    });
    if (worker === undefined) return skip('no Redis');
    try {
      const client = new Redis(redis.url);
      const ids = await Promise.all(Array.from({ length: 20 }, async () => await accept(worker)));
      await client.flushall();
      client.disconnect();
      await Promise.all(ids.map(async (id) => await untilActive(worker, id)));
      expect(Object.values(worker.sandbox.state().tokensByMerchantReference)).toEqual(
        ids.map(() => 1),
      );
    } finally {
      await worker.close();
      await redis.close();
    }
  });

  test.for(['postgres', 'redis'] as const)(
    'a push is refused during a PostgreSQL outage; the worker recovers by itself (queues on %s)',
    async (backend, { databaseUrl, skip }) => {
      const worker = await startTestWorker({ databaseUrl, backend });
      if (worker === undefined) return skip('no Redis');
      try {
        await untilActive(worker, await accept(worker));
        await setAway(databaseUrl, true);
        const refused = await pushOrphan(worker);
        expect(refused.status).toBe(503);
        expect(await refused.text()).not.toContain('receive-ok');
        const ready = `${worker.app.urls?.private}/health/ready`;
        expect((await fetch(ready)).status).toBe(503);
        expect((await fetch(`${ready}?for=callbacks`)).status).toBe(503);

        await setAway(databaseUrl, false);
        await eventually('a push is accepted again', async () => (await pushOrphan(worker)).ok);
        await untilActive(worker, await accept(worker));
        expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
      } finally {
        await worker.close();
      }
    },
  );

  test('a Redis that may evict keys is refused, with the setting to change', async ({
    databaseUrl,
    skip,
  }) => {
    const redis = await spawnAnyRedis(await freePort());
    if (redis === undefined) return skip('no redis-server on the path');
    const client = new Redis(redis.url);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    client.disconnect();
    const started = startTestWorker({
      databaseUrl,
      backend: 'redis',
      env: { REDIS_URL: redis.url },
    });
    await expect(started).rejects.toMatchObject({
      code: 'queue_policy_invalid',
      message: expect.stringContaining('maxmemory-policy'),
    });
    await redis.close();
  });
});

async function expectEveryVersionAudited(databaseUrl: string): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ breaks: number }>(
      `select count(*)::int as breaks from token_lifecycle.tokenization t
       where version <> (select count(*) from token_lifecycle.audit_event a
         where a.entity_type = 'tokenization' and a.entity_id = t.id)`,
    );
    expect(rows[0]?.breaks).toBe(0);
  });
}
