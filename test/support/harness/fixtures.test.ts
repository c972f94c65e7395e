import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { describe, expect, inject } from 'vitest';
import { openDatabase, pingDatabase, withClient } from '../../../src/db/connection/database.ts';
import { schemaVersion } from '../../../src/db/connection/schema-version.ts';
import { createTestDatabase } from '../services/database.ts';
import { eventually } from '../eventually.ts';
import { redisPlace, test } from './fixtures.ts';

async function databaseExists(url: string): Promise<boolean> {
  const name = new URL(url).pathname.slice(1);
  return await withClient(inject('adminUrl'), async (client) => {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [name]);
    return rowCount === 1;
  });
}

describe('test database', () => {
  test('is migrated and belongs to one test', async ({ databaseUrl }) => {
    const other = await createTestDatabase();
    try {
      expect(other.url).not.toBe(databaseUrl);
      await withClient(databaseUrl, async (client) => {
        const { rows } = await client.query(
          `select to_regclass('token_lifecycle.tokenization')::text as own, count(*)::int as queues
           from pg_namespace where nspname = 'bullmq'`,
        );
        expect(rows).toEqual([{ own: 'token_lifecycle.tokenization', queues: 1 }]);
      });
    } finally {
      await other.drop();
    }
  });

  test('refuses connections after its drop and is empty when it is reused', async () => {
    const database = await createTestDatabase();
    await withClient(database.url, async (client) => {
      await client.query(
        `insert into token_lifecycle.scan_run (name, finished_at) values ('a', now())`,
      );
      await client.query(`select nextval('token_lifecycle.outbox_id_seq')`);
    });
    await database.drop();
    expect(await databaseExists(database.url)).toBe(false);
    const next = await createTestDatabase();
    await withClient(next.url, async (client) => {
      const { rows } = await client.query(
        `select nextval('token_lifecycle.outbox_id_seq')::int as id,
         (select count(*)::int from token_lifecycle.scan_run) as runs`,
      );
      expect(rows).toEqual([{ id: 1, runs: 0 }]);
    });
    await next.drop();
  });

  test('is dropped although clients are connected and reconnect', async () => {
    const database = await createTestDatabase();
    const open = await openDatabase({ url: database.url, poolSizeMax: 4 });
    let isOver = false;
    const users = Array.from({ length: 4 }, async () => {
      while (!isOver) await pingDatabase(open.db).catch(() => undefined);
    });
    await database.drop();
    isOver = true;
    await Promise.all(users);
    await open.close();
    expect(await databaseExists(database.url)).toBe(false);
  });

  test.for([
    'create table token_lifecycle.other (id int)',
    'alter table token_lifecycle.audit_event disable trigger all',
    'create or replace function token_lifecycle.uuid_of(text) returns int language sql as $$select 1$$',
    'grant usage on schema token_lifecycle to public',
  ])('is not reused after a change of its schema: %s', async (change) => {
    const database = await createTestDatabase();
    await withClient(database.url, async (client) => {
      await client.query(change);
      await client.query(`comment on schema token_lifecycle is 'changed'`);
    });
    await database.drop();
    const next = await createTestDatabase();
    await withClient(next.url, async (client) => {
      const { rows } = await client.query(
        `select obj_description('token_lifecycle'::regnamespace) as comment`,
      );
      expect(rows).toEqual([{ comment: schemaVersion }]);
    });
    await next.drop();
  });

  test('can be created concurrently', async () => {
    const databases = await Promise.all(Array.from({ length: 4 }, createTestDatabase));
    expect(new Set(databases.map(({ url }) => url)).size).toBe(4);
    for (const database of databases) await database.drop();
  });
});

test('clearing a Redis prefix deletes its keys and no others', async ({ redis, skip }) => {
  const place = redisPlace();
  if (place === undefined) return skip('there is no Redis');
  const client = new Redis(redis.url);
  try {
    await client.set(`${redis.prefix}:stays`, '1');
    await client.set(`${place.prefix}:goes:${randomUUID()}`, '1');
    await place.clear();
    expect(await client.keys(`${place.prefix}*`)).toEqual([]);
    expect(await client.exists(`${redis.prefix}:stays`)).toBe(1);
  } finally {
    client.disconnect();
  }
});

test('eventually returns the value, and throws its label after the timeout', async () => {
  let looks = 0;
  expect(await eventually('third look', () => (looks += 1) === 3 && 'seen')).toBe('seen');
  await expect(eventually('a miracle', () => false, 60)).rejects.toThrow('a miracle');
});
