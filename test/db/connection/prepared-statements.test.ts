import { sql } from 'kysely';
import { expect } from 'vitest';
import { openDatabase } from '../../../src/db/connection/database.ts';
import { createTransitionDoor } from '../../../src/db/transition-door.ts';
import { addCredential, addTokenization } from '../../support/builders.ts';
import { test } from '../../support/harness/fixtures.ts';

test('each connection prepares a statement once, whatever the number of rows', async ({
  databaseUrl,
}) => {
  const { db, close } = await openDatabase({ url: databaseUrl, poolSizeMax: 1 });
  const door = createTransitionDoor(db);
  const credentialId = await addCredential(door);
  for (const count of [1, 3, 2]) {
    await Promise.all(
      Array.from({ length: count }, async () => await addTokenization(door, credentialId)),
    );
  }
  const { rows } = await sql<{ calls: number }>`
    select generic_plans + custom_plans as calls from pg_prepared_statements
    where statement like '%insert into tokenization%'`.execute(db);
  await close();
  expect(rows).toEqual([{ calls: '3' }]);
});
