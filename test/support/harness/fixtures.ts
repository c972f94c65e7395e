import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { inject, test as base } from 'vitest';
import { type Database, openDatabase } from '../../../src/db/database.ts';
import { createTransitionDoor, type TransitionDoor } from '../../../src/db/transition-door.ts';
import { createTestDatabase } from '../services/database.ts';

/** A Redis and a key prefix of the test's own. */
export interface RedisPlace {
  readonly url: string;
  readonly prefix: string;
}

/**
 * Tests with services: a database of their own, cloned from the migrated template, and a Redis prefix of their own. A test
 * that asks for `redis` is skipped where there is none.
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

/** A Redis place of the test's own; its keys are removed by `clear`. Undefined without Redis. */
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
