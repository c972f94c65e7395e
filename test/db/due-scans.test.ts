import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { findDueAccessTokens, findOverdueAccessTokens } from '../../src/db/access-tokens.ts';
import { findDueCallbacks } from '../../src/db/callbacks.ts';
import type { Db } from '../../src/db/connection/database.ts';
import { findDueDeliveries } from '../../src/db/deliveries.ts';
import { findDueTokenizations } from '../../src/db/tokenizations.ts';
import { addCredential, addTokenization } from '../support/builders.ts';
import { pagesRead } from '../support/buffers.ts';
import { explainStatements } from '../support/explain.ts';
import { test } from '../support/harness/fixtures.ts';

/** Each scan for due work, with the condition by which it must search its index. */
const scans: Readonly<Record<string, readonly [string, (db: Db) => Promise<unknown>]>> = {
  tokenizations: [
    'reconcile_at <= statement_timestamp()',
    async (db) => await findDueTokenizations(db, 'confirming', 10),
  ],
  callbacks: [
    'due_at <= statement_timestamp()',
    async (db) => await findDueCallbacks(db, 'received', 10),
  ],
  deliveries: ['due_at <= statement_timestamp()', async (db) => await findDueDeliveries(db, 10)],
  'access tokens': [
    'due_at <= statement_timestamp()',
    async (db) => await findDueAccessTokens(db, 10, 1_000),
  ],
  'overdue access tokens': [
    'due_at < (statement_timestamp()',
    async (db) => await findOverdueAccessTokens(db, 1_000, [50], 10),
  ],
};

/** Adds callbacks in `state` that are due in so many seconds. */
async function addCallbacks(
  db: Db,
  rows: { state: string; count: number; dueInSeconds: number },
): Promise<void> {
  await sql`
    insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, account, terminal,
      merchant_reference_id, seen_count, last_seen_at, received_at, due_at, state, version, created_at, updated_at)
    select gen_random_uuid(), 'notify', 'k', gen_random_uuid()::text, 'sealed', 6, '995149', '99514901',
      'unknown-' || n, 1, now(), now(), now() + ${rows.dueInSeconds} * interval '1 second', ${rows.state}, 2, now(), now()
    from generate_series(1, ${rows.count}::integer) n`.execute(db);
}

/** Adds a dead letter for each job. */
async function addDeadLetters(db: Db, jobIds: readonly string[]): Promise<void> {
  await sql`
    insert into dead_letter (id, queue, job_name, job_id, code, paths, attempts, redrives, state, version, created_at, updated_at)
    select gen_random_uuid(), 'notify', 'x', job_id, 'internal', '[]', 1, 0, 'dead', 1, now(), now()
    from unnest(${[...jobIds]}::text[]) job_id`.execute(db);
}

describe('due-scan', () => {
  test('skips rows whose job is a dead letter, so that they hide no other due rows', async ({
    database: { db },
    door,
  }) => {
    const credentialId = await addCredential(door);
    const [dead, alive] = [randomUUID(), randomUUID()];
    for (const [id, age] of [
      [dead, '2 hours'],
      [alive, '1 hour'],
    ] as const) {
      await addTokenization(door, credentialId, id);
      await sql`update tokenization set reconcile_at = now() - ${age}::interval where id = ${id}`.execute(
        db,
      );
      await sql`
        insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, seen_count, last_seen_at,
          received_at, due_at, state, version, created_at, updated_at)
        values (${id}, 'redirect', 'k', ${id}, 'sealed', 6, 1, now(), now(), now() - ${age}::interval, 'received', 1, now(), now())`.execute(
        db,
      );
      await sql`
        insert into delivery (id, event_id, tokenization_id, event_type, sequence, status, attempt, due_at, state, version, created_at, updated_at)
        values (${id}, ${id}, ${id}, 'token.disabled', 1, 'disabled', 0, now() - ${age}::interval, 'pending', 1, now(), now())`.execute(
        db,
      );
      await sql`
        insert into access_token (id, credential_id, generation, failures, due_at, state, version, created_at, updated_at)
        values (${id}, ${id === alive ? credentialId : await addCredential(door)}, 1, 0, now() - ${age}::interval, 'fresh', 1, now(), now())`.execute(
        db,
      );
    }
    const idOf = (rows: readonly { id: string }[]) => rows.map(({ id }) => id);
    const look = async () => ({
      requests: idOf(await findDueTokenizations(db, 'requested', 1)),
      callbacks: idOf(await findDueCallbacks(db, 'received', 1)),
      deliveries: idOf(await findDueDeliveries(db, 1)),
      accessTokens: idOf(await findDueAccessTokens(db, 1, 1_000)),
    });
    const all = (id: string) => ({
      requests: [id],
      callbacks: [id],
      deliveries: [id],
      accessTokens: [id],
    });
    expect(await look()).toEqual(all(dead));
    const kinds = ['request', 'callback', 'deliver', 'refresh'];
    await addDeadLetters(
      db,
      kinds.map((kind) => `${kind}-${dead}-g1`),
    );
    expect(await look()).toEqual(all(alive));
  });

  test('costs no more with thousands of orphaned callbacks that are not due', async ({
    database: { db },
    databaseUrl,
  }) => {
    await addCallbacks(db, { state: 'orphaned', count: 5_000, dueInSeconds: 3_600 });
    await addCallbacks(db, { state: 'received', count: 1, dueInSeconds: -1 });
    const pages = await pagesRead(databaseUrl, async (found) => {
      expect(await findDueCallbacks(found, 'received', 500)).toHaveLength(1);
      expect(await findDueCallbacks(found, 'matched', 500)).toHaveLength(0);
      expect(await findDueCallbacks(found, 'orphaned', 500)).toHaveLength(0);
    });
    expect(pages).toBeLessThan(50);
  });

  test('searches each index by time instead of reading the whole index', async ({
    databaseUrl,
  }) => {
    for (const [name, [instant, scan]] of Object.entries(scans)) {
      const [plan] = await explainStatements(databaseUrl, scan, {
        enable_seqscan: 'off',
        enable_bitmapscan: 'off',
      });
      const conditions = [...JSON.stringify(plan).matchAll(/"Index Cond":"([^"]*)"/g)];
      expect(conditions.map(([, condition]) => condition).join(), name).toContain(instant);
    }
  });
});
