import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import {
  ensureAuditPartitions,
  findAuditBreaks,
  isEvidenceOf,
  listAuditPartitions,
} from '../../src/db/audit.ts';
import { type AuditBreak, checkAuditTrail } from '../../src/db/audit-check.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { addCredential, addTokenization } from '../support/builders.ts';
import { pagesRead } from '../support/buffers.ts';
import { test } from '../support/harness/fixtures.ts';

describe('audit table', () => {
  test.for<readonly [string, string]>([
    ['update', 'update audit_event set reason = null'],
    ['delete', 'delete from audit_event'],
    ['truncate', 'truncate audit_event'],
    ['trigger', 'alter table audit_event disable trigger all'],
    ['replication role', "set session_replication_role = 'replica'"],
  ])('refuses the worker: %s', async ([, statement], { database, door }) => {
    await addCredential(door);
    expect(database.isRestricted).toBe(true);
    await expect(sql.raw(statement).execute(database.db)).rejects.toMatchObject({ code: '42501' });
  });

  test.for([
    'update audit_event set reason = null',
    'delete from audit_event',
    'truncate audit_event',
  ])('refuses even its owner: %s', async (statement, { databaseUrl, door }) => {
    await addCredential(door);
    await withClient(databaseUrl, async (client) => {
      await client.query('set search_path = token_lifecycle');
      await expect(client.query(statement)).rejects.toThrow('append-only');
    });
  });

  test('isEvidenceOf reads only the audit rows of the tokenization', async ({
    databaseUrl,
    database: { db },
    door,
  }) => {
    const id = await addTokenization(door, await addCredential(door));
    await sql`
      insert into audit_event (entity_type, entity_id, version, event, to_state, actor_type, actor_id,
        detail, evidence_id)
      select 'tokenization', gen_random_uuid(), 1, 'x', 'x', 'worker', 'x', '{}', gen_random_uuid()
      from generate_series(1, 5000)`.execute(db);
    const callbackId = randomUUID();
    const pages = await pagesRead(databaseUrl, async (read) => {
      expect(await isEvidenceOf(read, callbackId, id)).toBe(false);
    });
    expect(pages).toBeLessThan(50);
  });

  test('refuses to truncate one of its partitions', async ({ databaseUrl, database, door }) => {
    await addCredential(door);
    const [partition = ''] = await listAuditPartitions(database.db);
    await withClient(databaseUrl, async (client) => {
      const truncated = client.query(`truncate token_lifecycle.${partition}`);
      await expect(truncated).rejects.toThrow('append-only');
    });
  });

  test('has partitions for this month and three more, and creates each only once', async ({
    database,
  }) => {
    expect(await listAuditPartitions(database.db)).toHaveLength(4);
    expect(await ensureAuditPartitions(database.db, 3)).toBe(0);
    expect(await ensureAuditPartitions(database.db, 6)).toBe(3);
  });

  test('has partitions by UTC month in any session time zone', async ({ databaseUrl }) => {
    await withClient(databaseUrl, async (client) => {
      await client.query("set timezone = 'America/New_York'");
      await client.query('select token_lifecycle.ensure_audit_partitions(24)');
      const { rows } = await client.query<{ count: number; next: string }>(
        `select count(*)::int as count from pg_inherits
         where inhparent = 'token_lifecycle.audit_event'::regclass`,
      );
      expect(rows[0]?.count).toBe(25);
    });
  });

  test.for<readonly [string, string, string]>([
    [
      'a version without an audit row',
      'update tokenization set version = version + 1',
      'version_differs',
    ],
    [
      'a state that was changed without an audit row',
      "update tokenization set state = 'active'",
      'state_differs',
    ],
    [
      'an audit row without an entity',
      `insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type, actor_id, detail)
       select 'tokenization', gen_random_uuid(), 1, 'x', null, 'active', 'operator', 'x', '{}'`,
      'entity_missing',
    ],
    [
      'an audit row that starts in another state than the one before ended in',
      `with bumped as (update tokenization set version = 2, state = 'active' returning id)
       insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type, actor_id, detail)
       select 'tokenization', id, 2, 'x', 'failed', 'active', 'operator', 'x', '{}' from bumped`,
      'from_differs',
    ],
    [
      'a gap in the versions',
      `with bumped as (update tokenization set version = 2 returning id)
       insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type, actor_id, detail)
       select 'tokenization', id, 3, 'x', 'requested', 'requested', 'operator', 'x', '{}' from bumped`,
      'version_gap',
    ],
  ])('check reports %s', async ([, statement, fault], { database, door }) => {
    await addTokenization(door, await addCredential(door));
    expect(await findAuditBreaks(database.db)).toEqual([]);
    await sql.raw(statement).execute(database.db);
    expect(await findAuditBreaks(database.db)).toMatchObject([{ fault }]);
  });

  test('check goes through the trail in slices, and finds each break once, that of the first and of the last id too', async ({
    database: { db },
  }) => {
    const ends = ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'];
    await sql`
      insert into audit_event (entity_type, entity_id, version, event, to_state, actor_type, actor_id, detail)
      select 'tokenization', id, 1, 'x', 'x', 'worker', 'x', '{}' from (
        select unnest(${ends}::uuid[]) as id union all
        select gen_random_uuid() from generate_series(1, 198)) of_none`.execute(db);
    const breaks: AuditBreak[] = [];
    const shares: number[] = [];
    const rows = await checkAuditTrail(db, {
      sliceRows: 10,
      onBreak: (found) => breaks.push(found),
      onProgress: (share) => shares.push(share),
    });
    expect(rows).toBe(200);
    const ids = breaks.map(({ entity_id: id }) => id);
    expect(ids).toHaveLength(200);
    expect(new Set(ids).size).toBe(200);
    expect(ids).toEqual(expect.arrayContaining(ends));
    expect(shares).toEqual(Array.from({ length: 20 }, (_, n) => (n + 1) / 20));
  });

  test('check reports a row of a type that no entity has', async ({ database: { db } }) => {
    await sql`
      insert into audit_event (entity_type, entity_id, version, event, to_state, actor_type, actor_id, detail)
      values ('unheard_of', gen_random_uuid(), 1, 'x', 'x', 'worker', 'x', '{}')`.execute(db);
    expect(await findAuditBreaks(db)).toMatchObject([
      { entity_type: 'unheard_of', fault: 'entity_missing' },
    ]);
  });

  test('concurrent repeated migrations change nothing', async ({ databaseUrl }) => {
    const reports = await Promise.all([
      migrate(databaseUrl),
      migrate(databaseUrl),
      migrate(databaseUrl),
    ]);
    expect(reports.map(({ applied }) => applied)).toEqual([[], [], []]);
  });
});
