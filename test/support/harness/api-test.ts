import { openDatabase } from '../../../src/db/connection/database.ts';
import { createTransitionDoor } from '../../../src/db/transition-door.ts';
import { startTestApi, type TestApi } from './api.ts';
import { createTestDatabase } from '../services/database.ts';
import { test as base } from './fixtures.ts';

/** Starts an API for one test, on the database of its file. */
export type StartApi = (env: Readonly<Record<string, string>>) => Promise<TestApi>;

/**
 * Tests with an API and without a worker. The tests of one file share a database and an API,
 * because a database for each would take most of their time.
 */
export const test = base
  .extend('shared', { scope: 'file' }, async ({}, { onCleanup }) => {
    const { url, drop } = await createTestDatabase();
    const database = await openDatabase({ url, poolSizeMax: 4 });
    onCleanup(async () => {
      await database.close();
      await drop();
    });
    return { db: database.db, door: createTransitionDoor(database.db) };
  })
  .extend('api', { scope: 'file' }, async ({ shared }, { onCleanup }): Promise<TestApi> => {
    const api = await startTestApi(shared);
    onCleanup(api.close);
    return api;
  })
  .extend('startApi', async ({ shared }, { onCleanup }): Promise<StartApi> => {
    const started: TestApi[] = [];
    onCleanup(async () => {
      for (const api of started) await api.close();
    });
    return async (env) => {
      const api = await startTestApi(shared, env);
      started.push(api);
      return api;
    };
  });
