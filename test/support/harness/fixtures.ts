import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { inject, test as base } from 'vitest';
import { type Database, openDatabase } from '../../../src/db/connection/database.ts';
import { createTransitionDoor, type TransitionDoor } from '../../../src/db/transition-door.ts';
import { createTestDatabase } from '../services/database.ts';

/** A Redis with a key prefix for one test. */
export interface RedisPlace {
  readonly url: string;
  readonly prefix: string;
}

/**
 * Tests with services: each test gets its own database, cloned from the migrated template, and its
 * own Redis prefix. A test that uses `redis` is skipped without Redis.
 */
export const test = base
  .extend('databaseUrl', { scope: 'test' }, async ({}, { onCleanup }) => {
    const { url, drop } = await createTestDatabase();
    onCleanup(drop);
    return url;
  })
  .extend('database', async ({ databaseUrl }, { onCleanup }): Promise<Database> => {
    const database = await openDatabase({ url: databaseUrl, poolSizeMax: 6 });
    onCleanup(database.close);
    return database;
  })
  .extend('door', async ({ database }, { onCleanup }): Promise<TransitionDoor> => {
    const door = createTransitionDoor(database.db);
    onCleanup(door.close);
    return door;
  })
  .extend('redis', async ({ skip }, { onCleanup }): Promise<RedisPlace> => {
    const place = redisPlace();
    if (place === undefined) return skip('there is no Redis');
    onCleanup(place.clear);
    return { url: place.url, prefix: place.prefix };
  });

/** A Redis prefix for one test, whose keys `clear` deletes. Undefined without Redis. */
export function redisPlace(): (RedisPlace & { clear: () => Promise<void> }) | undefined {
  const url = inject('redisUrl');
  if (url === '') return undefined;
  const prefix = `tlw-test-${randomBytes(4).toString('hex')}`;
  return { url, prefix, clear: async () => await clearKeys(url, prefix) };
}

async function clearKeys(url: string, prefix: string): Promise<void> {
  const client = new Redis(url);
  try {
    for await (const keys of client.scanStream({ match: `${prefix}*`, count: 500 })) {
      if (Array.isArray(keys) && keys.length > 0) await client.unlink(...keys.map(String));
    }
  } finally {
    client.disconnect();
  }
}
