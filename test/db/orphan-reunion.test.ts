import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { expect } from 'vitest';
import { openDatabase } from '../../src/db/connection/database.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import { addCredential, testActor, tokenizationColumns } from '../support/builders.ts';
import { test } from '../support/harness/fixtures.ts';
import { recordPlans } from '../support/recorded-plans.ts';

const tokenizations = 20;

test('tokenizations that one statement adds look for their orphans once, and each orphan gets its job', async ({
  databaseUrl,
  onTestFinished,
}) => {
  const plans = await recordPlans(databaseUrl);
  const { db, close } = await openDatabase({ url: databaseUrl, poolSizeMax: 1 });
  onTestFinished(close);
  const door = createTransitionDoor(db);
  const credentialId = await addCredential(door);
  const { account, terminal } = tokenizationColumns(credentialId);
  await sql`
    insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, account, terminal,
      merchant_reference_id, seen_count, last_seen_at, received_at, state, version, created_at, updated_at)
    select gen_random_uuid(), 'notify', 'k', n::text, 'sealed', 6, ${account}, ${terminal}, 'order-' || n, 1,
      now(), now(), 'orphaned', 2, now(), now()
    from generate_series(1, ${tokenizations / 2}::integer) n`.execute(db);
  plans.length = 0;
  await Promise.all(
    Array.from({ length: tokenizations }, async (_, n) => {
      await door.apply({
        entity: 'tokenization',
        row: { id: randomUUID(), version: 0, state: null },
        event: 'tokenization.requested',
        patch: tokenizationColumns(credentialId, `order-${n + 1}`),
        audit: { actor: testActor },
      });
    }),
  );
  const isSearch = (statement: string): boolean =>
    statement.startsWith('insert into token_lifecycle.outbox');
  expect(plans.filter(({ statement }) => isSearch(statement))).toHaveLength(1);
  const jobs = await db.selectFrom('outbox').select('job_id').execute();
  const orphans = await db.selectFrom('callback').select('id').execute();
  expect(jobs.map(({ job_id: id }) => id).toSorted()).toEqual(
    orphans.map(({ id }) => `notify-${id}-g2`).toSorted(),
  );
});
