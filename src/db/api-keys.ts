import type { Db } from './connection/database.ts';
import type { ApiKeyRow } from './rows.ts';

/** Every stored API key, active and revoked, in the order of their names. */
export async function listApiKeys(db: Db): Promise<readonly ApiKeyRow[]> {
  return await db.selectFrom('api_key').selectAll().orderBy('name').execute();
}

/** The stored API keys that are not revoked. */
export async function listActiveApiKeys(db: Db): Promise<readonly ApiKeyRow[]> {
  return await db.selectFrom('api_key').selectAll().where('state', '=', 'active').execute();
}

/** The stored API key with this name. */
export async function findApiKey(db: Db, name: string): Promise<ApiKeyRow | undefined> {
  return await db.selectFrom('api_key').selectAll().where('name', '=', name).executeTakeFirst();
}
