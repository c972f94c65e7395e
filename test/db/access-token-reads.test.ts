import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { insertAccessTokenReads } from '../../src/db/access-token-reads.ts';
import { type Db, withClient } from '../../src/db/connection/database.ts';
import { test } from '../support/harness/fixtures.ts';

async function insertOne(db: Db): Promise<void> {
  const actor = { type: 'backend', id: 'shop' } as const;
  await insertAccessTokenReads(db, [
    {
      accessTokenId: '11111111-1111-4111-8111-111111111111',
      credential: 'cards',
      generation: 7,
      actor,
      reads: 3,
      firstAgoMs: 900,
      lastAgoMs: 100,
    },
  ]);
}

describe('the table of access token reads', () => {
  test.for<readonly [string, string]>([
    ['update', 'update access_token_read set reads = 1'],
    ['delete', 'delete from access_token_read'],
    ['truncate', 'truncate access_token_read'],
    ['disable the triggers of', 'alter table access_token_read disable trigger all'],
  ])('the worker may insert into it and not %s it', async ([, statement], { database }) => {
    await insertOne(database.db);
    expect(database.isRestricted).toBe(true);
    await expect(sql.raw(statement).execute(database.db)).rejects.toMatchObject({ code: '42501' });
  });

  test.for([
    'update access_token_read set reads = 1',
    'delete from access_token_read',
    'truncate access_token_read',
  ])('its owner is stopped by a trigger: %s', async (statement, { databaseUrl, database }) => {
    await insertOne(database.db);
    await withClient(databaseUrl, async (client) => {
      await client.query('set search_path = token_lifecycle');
      await expect(client.query(statement)).rejects.toThrow('append-only');
    });
  });
});
