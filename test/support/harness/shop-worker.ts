import { expect } from 'vitest';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import { createTestDatabase } from '../services/database.ts';
import { makeKey } from './api.ts';
import { openShop, type Shop } from './shop.ts';
import { anyBackend, startTestWorker, type TestWorker } from './worker.ts';

/** A worker with its HTTP API, and a shop that uses it. */
export interface ShopWorker {
  readonly databaseUrl: string;
  readonly worker: TestWorker;
  readonly shop: Shop;
  readonly apiUrl: string;
  readonly apiKey: string;
  /** Checks the audit trail and stops the worker. */
  readonly close: () => Promise<void>;
}

/** Starts a worker for all tests of a file, with one API key. */
export async function startShopWorker(keyName: string): Promise<ShopWorker> {
  const database = await createTestDatabase();
  const { key, entry } = makeKey(keyName);
  const worker = await startTestWorker({
    databaseUrl: database.url,
    backend: anyBackend(),
    env: { API_KEYS: entry },
  });
  if (worker === undefined) throw new Error('the worker did not start');
  return {
    databaseUrl: database.url,
    worker,
    shop: openShop(worker),
    apiUrl: worker.app.urls?.private ?? '',
    apiKey: key,
    async close() {
      expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
      await worker.close();
      await database.drop();
    },
  };
}

/** The redirect that a customer's browser brings to the shop, as a backend forwards it. */
export function redirectMessage(fields: readonly (readonly [string, string])[]): {
  readonly contentType: string;
  readonly body: string;
} {
  return {
    contentType: 'application/x-www-form-urlencoded',
    body: new URLSearchParams(
      fields.map(([name, value]): [string, string] => [name, value]),
    ).toString(),
  };
}
