import { inspect } from 'node:util';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import pg from 'pg';
import { describe, expect } from 'vitest';
import { addToQueue, enqueueIn, type SqlTransaction } from '../../src/direct-client/enqueue.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { connectEnqueuer, type Enqueuer } from '../support/harness/enqueuer.ts';
import { test as base } from '../support/harness/fixtures.ts';

/** A backend whose role may only enqueue. */
const test = base.extend('shop', async ({ databaseUrl }, { onCleanup }): Promise<Enqueuer> => {
  const shop = await connectEnqueuer(databaseUrl);
  onCleanup(shop.close);
  return shop;
});

const request = (): Parameters<typeof enqueueIn<'tokenization.request'>>[2] => {
  const { v: _, ...payload } = requestPayload();
  return payload;
};

describe('enqueueIn', () => {
  test("commits and rolls back with the backend's transaction, also to a savepoint", async ({
    shop: { client },
    database,
    databaseUrl,
  }) => {
    const rows = async () =>
      await database.db
        .selectFrom('outbox')
        .select(['enqueue_id', 'job_name', 'enqueue_key', 'payload'])
        .orderBy('id')
        .execute();
    await client.query('begin');
    await enqueueIn(client, 'tokenization.request', request());
    await client.query('rollback');
    expect(await rows()).toEqual([]);

    await client.query('begin');
    const kept = await enqueueIn(client, 'access-token.refresh', { credential: 'default' });
    await client.query('savepoint step');
    await enqueueIn(client, 'tokenization.request', request());
    await client.query('rollback to step');
    const keyed = await enqueueIn(
      client,
      'token.disable',
      { merchantReferenceId: 'order-1' },
      { key: 'order-1' },
    );
    expect(await rows()).toEqual([]);
    await client.query('commit');
    expect(await rows()).toEqual([
      {
        enqueue_id: kept,
        job_name: 'access-token.refresh',
        enqueue_key: null,
        payload: { v: 1, credential: 'default' },
      },
      {
        enqueue_id: keyed,
        job_name: 'token.disable',
        enqueue_key: 'order-1',
        payload: { v: 1, merchantReferenceId: 'order-1' },
      },
    ]);

    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    const pooled = await pool.connect();
    await enqueueIn(pooled, 'tokenization.request', request());
    pooled.release();
    await pool.end();
    expect(await rows()).toHaveLength(3);
  });

  test('refuses a payload with code and paths, and without a value', async ({
    shop: { client },
  }) => {
    const good = request();
    const canary = 'CANARY-4111';
    const refusals = [
      [
        { ...good, order: { ...good.order, currency: canary } },
        'payload_invalid',
        ['order.currency'],
      ],
      [Object.assign({ [canary]: canary }, good), 'payload_invalid', ['*']],
      ...[`${canary}\0`, `${canary}\ud83d`, `\ude00${canary}`].map(
        (city) =>
          [
            { ...good, billing: { ...good.billing, city } },
            'payload_invalid',
            ['billing.city'],
          ] as const,
      ),
    ] as const;
    // A query builder wraps PostgreSQL's error in its own.
    const wrapped: SqlTransaction = {
      query: async (text, values) =>
        await client.query(text, values).catch((cause: unknown) => {
          throw new Error('a query failed', { cause });
        }),
    };
    for (const [payload, code, paths] of refusals) {
      for (const way of [client, wrapped]) {
        const fault = await faultOf(enqueueIn(way, 'tokenization.request', payload));
        expect(fault).toMatchObject({ code, paths, isRetryable: false });
        expect(inspect(fault, { depth: Infinity, showHidden: true })).not.toContain(canary);
      }
    }
    for (const unknown of ['no.job', 'toString', canary]) {
      const fault = await faultOf(Reflect.apply(enqueueIn, undefined, [client, unknown, good]));
      expect(fault).toMatchObject({ code: 'job_unknown', paths: ['jobName'], isRetryable: false });
      expect(fault.message).not.toContain(canary);
    }
    // JSON encodes each of these characters in six bytes.
    const large = { body: '\u0001'.repeat(65_536) };
    expect(await faultOf(enqueueIn(client, 'notify.handle', large))).toMatchObject({
      code: 'body_too_large',
      paths: ['payload'],
    });
    const key = 'k'.repeat(201);
    expect(
      await faultOf(enqueueIn(client, 'access-token.refresh', { credential: 'a' }, { key })),
    ).toMatchObject({ code: 'payload_invalid', paths: ['key'] });
  });

  test('passes other database errors through, since only the backend can act on them', async ({
    shop: { client },
    databaseUrl,
  }) => {
    await client.query('begin');
    await expect(client.query('select nonsense')).rejects.toThrow(/nonsense/);
    await expect(enqueueIn(client, 'tokenization.request', request())).rejects.toMatchObject({
      code: '25P02',
    });
    await client.query('rollback');
    const unprivileged = await connectEnqueuer(databaseUrl, false);
    await expect(
      enqueueIn(unprivileged.client, 'tokenization.request', request()),
    ).rejects.toMatchObject({ code: '42501' });
    await unprivileged.close();
  });

  test('removes the payload from database errors that quote parameters', async ({
    shop: { client, role },
    databaseUrl,
  }) => {
    const owner = new pg.Client({ connectionString: databaseUrl });
    await owner.connect();
    await owner.query('begin; lock table token_lifecycle.outbox');
    await client.query('reset role; set log_parameter_max_length_on_error = -1');
    await client.query(`set role ${role}; set lock_timeout = '20ms'`);
    const canary = 'CANARY-4111';
    const payload = { ...request(), customer: { id: canary } };
    const statement = 'select token_lifecycle.enqueue($1, $2::jsonb) as id';
    const values = ['tokenization.request', JSON.stringify({ v: 1, ...payload })];
    const quoted: unknown = await client.query(statement, values).catch((error: unknown) => error);
    expect(inspect(quoted)).toContain(canary);
    const fault: unknown = await enqueueIn(client, 'tokenization.request', payload).catch(
      (error: unknown) => error,
    );
    expect(fault).toBeInstanceOf(pg.DatabaseError);
    expect(fault).toMatchObject({ code: '55P03' });
    expect(inspect(fault, { depth: Infinity, showHidden: true })).not.toContain(canary);
    await owner.end();
  });
});

describe('addToQueue', () => {
  test('validates the payload, checks the queue and adds the version', async ({ redis }) => {
    const connection = new Redis(redis.url, { maxRetriesPerRequest: null });
    const queue = new Queue('tokenization', { connection, prefix: redis.prefix });
    try {
      const payload = request();
      await addToQueue(queue, 'tokenization.request', payload);
      const bad = { ...payload, order: { ...payload.order, amount: 'CANARY' } };
      const fault = await faultOf(addToQueue(queue, 'tokenization.request', bad));
      expect(fault).toMatchObject({ code: 'payload_invalid', paths: ['order.amount'] });
      expect(JSON.stringify([fault, fault.message])).not.toContain('CANARY');
      const elsewhere = await faultOf(addToQueue(queue, 'notify.handle', { body: 'x' }));
      expect(elsewhere).toMatchObject({ code: 'job_unknown', paths: ['queue'] });
      const unknown = Reflect.apply(addToQueue, undefined, [queue, 'no.job', payload]);
      expect(await faultOf(unknown)).toMatchObject({ code: 'job_unknown', paths: ['jobName'] });
      const jobs = await queue.getJobs(['waiting']);
      expect(jobs.map(({ name, data }): unknown => ({ name, data }))).toEqual([
        { name: 'tokenization.request', data: { v: 1, ...payload } },
      ]);
    } finally {
      await queue.close();
      await connection.quit();
    }
  });
});
