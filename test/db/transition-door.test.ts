import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { readOutboxBacklog } from '../../src/db/outbox.ts';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import {
  addCredential,
  addTokenization,
  testActor,
  tokenizationColumns,
} from '../support/builders.ts';
import { onServer } from '../support/services/database.ts';
import { test } from '../support/harness/fixtures.ts';

const audit = { actor: testActor };

describe('transition door', () => {
  test('commits state, audit row and outbox row together', async ({ database, door }) => {
    const id = await addTokenization(door, await addCredential(door));
    const job = {
      queue: 'tokenization',
      name: 'tokenization.request',
      jobId: 'x',
      payload: { v: 1 },
    };
    const outcome = await door.apply({
      entity: 'tokenization',
      row: { id, version: 1, state: 'requested' },
      event: 'tokenization.submitting',
      patch: { attempt: 1, lease_until_in_ms: 30_000 },
      audit: {
        ...audit,
        queue: 'tokenization',
        jobId: 'job-1',
        attempt: 2,
        detail: { attempt: 1 },
      },
      jobs: [job],
    });
    expect(outcome).toMatchObject({ isApplied: true, version: 2, state: 'submitting' });
    const row = await findTokenization(database.db, id);
    expect(row).toMatchObject({ state: 'submitting', version: 2, attempt: 1, methods: 'Klarna' });
    const leaseMs = (row?.lease_until?.getTime() ?? 0) - (row?.updated_at.getTime() ?? 0);
    expect(leaseMs).toBeGreaterThan(29_000);
    expect(leaseMs).toBeLessThan(31_000);
    const events = await database.db
      .selectFrom('audit_event')
      .selectAll()
      .where('entity_id', '=', id)
      .orderBy('version')
      .execute();
    expect(events.map(({ event, from_state, to_state }) => [event, from_state, to_state])).toEqual([
      ['tokenization.requested', null, 'requested'],
      ['tokenization.submitting', 'requested', 'submitting'],
    ]);
    expect(events[1]).toMatchObject({ job_id: 'job-1', attempt: 2, detail: { attempt: 1 } });
    expect((await readOutboxBacklog(database.db)).rows).toBe(1);
  });

  test('applies one of many concurrent changes of a version and reports the others as stale', async ({
    database,
    door,
  }) => {
    const id = await addTokenization(door, await addCredential(door));
    const outcomes = await Promise.all(
      Array.from(
        { length: 20 },
        async () =>
          await door.apply({
            entity: 'tokenization',
            row: { id, version: 1, state: 'requested' },
            event: 'tokenization.submitting',
            audit,
            jobs: [{ queue: 'q', name: 'n', jobId: 'j', payload: {} }],
          }),
      ),
    );
    expect(outcomes.filter(({ isApplied }) => isApplied)).toHaveLength(1);
    expect((await readOutboxBacklog(database.db)).rows).toBe(1);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('applies two concurrent changes of one entity one after the other', async ({
    database,
    door,
  }) => {
    const id = await addTokenization(door, await addCredential(door));
    const [first, second] = await Promise.all([
      door.apply({
        entity: 'tokenization',
        row: { id, version: 1, state: 'requested' },
        event: 'tokenization.submitting',
        audit,
      }),
      door.apply({
        entity: 'tokenization',
        row: { id, version: 2, state: 'submitting' },
        event: 'tokenization.outcome_unknown',
        audit,
      }),
    ]);
    expect([first.isApplied, second.isApplied]).toEqual([true, true]);
    expect(await findTokenization(database.db, id)).toMatchObject({
      version: 3,
      state: 'submit_unknown',
    });
  });

  test('commits changes of many entities in one statement with an outcome for each caller', async ({
    database,
  }) => {
    const sizes: number[] = [];
    const door = createTransitionDoor(database.db, { onBatch: (size) => sizes.push(size) });
    const credentialId = await addCredential(door);
    const ids = await Promise.all(
      Array.from({ length: 100 }, async () => await addTokenization(door, credentialId)),
    );
    sizes.length = 0;
    const outcomes = await Promise.all(
      ids.map(
        async (id, index) =>
          await door.apply({
            entity: 'tokenization',
            // Every tenth caller decides on a version that does not exist.
            row: { id, version: index % 10 === 0 ? 7 : 1, state: 'requested' },
            event: 'tokenization.submitting',
            audit,
          }),
      ),
    );
    expect(outcomes.map(({ isApplied }) => isApplied)).toEqual(
      ids.map((_, index) => index % 10 !== 0),
    );
    expect(sizes).toEqual([100]);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('rejects only the row that PostgreSQL refuses, not the rest of its batch', async ({
    database,
    door,
  }) => {
    const credentialId = await addCredential(door);
    const ids = Array.from({ length: 50 }, () => randomUUID());
    const results = await Promise.allSettled(
      ids.map(
        async (id, index) =>
          await door.apply({
            entity: 'tokenization',
            row: { id, version: 0, state: null },
            event: 'tokenization.requested',
            // A NUL character can't be stored: PostgreSQL refuses the whole statement.
            patch: {
              ...tokenizationColumns(credentialId),
              methods: index === 23 ? 'a\0b' : 'Klarna',
            },
            audit,
          }),
      ),
    );
    expect(results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []))).toEqual([
      23,
    ]);
    expect(results[23]).toMatchObject({ reason: { code: 'internal' } });
    const { rows } = await sql<{
      count: number;
    }>`select count(*)::int as count from tokenization`.execute(database.db);
    expect(rows[0]?.count).toBe(49);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('retries a change after a deadlock', async ({ databaseUrl, database, door }) => {
    const id = await addTokenization(door, await addCredential(door));
    // The trigger fails three times. A rollback does not reset the sequence that counts.
    await onServer(databaseUrl, async (client) => {
      await client.query(`
        create sequence token_lifecycle.retries;
        grant usage on sequence token_lifecycle.retries to public;
        create function token_lifecycle.meet() returns trigger language plpgsql as $$
        begin
          if nextval('token_lifecycle.retries') <= 3 then
            raise exception 'met' using errcode = 'deadlock_detected';
          end if;
          return new;
        end $$;
        create trigger meet before update on token_lifecycle.tokenization
        for each row execute function token_lifecycle.meet()`);
    });
    const change = {
      entity: 'tokenization',
      row: { id, version: 1, state: 'requested' },
      event: 'tokenization.submitting',
      audit,
    } as const;
    expect(await door.apply(change)).toMatchObject({ isApplied: true, version: 2 });
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('rows that another session has locked fail alone and hold up no other kind of change', async ({
    databaseUrl,
    database,
  }) => {
    const door = createTransitionDoor(database.db, { statementsMax: 1 });
    const credentialId = await addCredential(door);
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => await addTokenization(door, credentialId)),
    );
    const submit = async (id: string) =>
      await door.apply({
        entity: 'tokenization',
        row: { id, version: 1, state: 'requested' },
        event: 'tokenization.submitting',
        audit,
      });
    await onServer(databaseUrl, async (client) => {
      await client.query('begin');
      await client.query('select from token_lifecycle.tokenization where id = any($1) for update', [
        ids.slice(0, 15),
      ]);
      const changes = Promise.allSettled(ids.map(submit));
      const other = addTokenization(door, credentialId).then(() => 'another kind');
      expect(await Promise.race([changes, other])).toBe('another kind');
      expect((await changes).map(({ status }) => status)).toEqual(
        ids.map((_, index) => (index < 15 ? 'rejected' : 'fulfilled')),
      );
      const [first] = await changes;
      expect(first).toMatchObject({ reason: { code: 'database_unavailable' } });
      await client.query('rollback');
    });
    expect(await submit(ids[0] ?? '')).toMatchObject({ isApplied: true });
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('refuses changes while too many of their kind wait', async ({ database }) => {
    const door = createTransitionDoor(database.db, {
      statementsMax: 1,
      batchMax: 1,
      waitingMax: 3,
    });
    const credentialId = await addCredential(door);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, async () => await addTokenization(door, credentialId)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    expect(outcomes[3]).toMatchObject({ reason: { code: 'database_unavailable' } });
  });

  test('commits several changes of one entity together, each with its version and audit row', async ({
    database,
    door,
  }) => {
    const credentialId = await addCredential(door);
    const id = randomUUID();
    const outcome = await door.apply({
      entity: 'tokenization',
      row: { id, version: 0, state: null },
      event: 'tokenization.requested',
      patch: { ...tokenizationColumns(credentialId), reconcile_at_in_ms: 5_000, attempt: 0 },
      audit,
      followedBy: [
        {
          event: 'tokenization.submitting',
          patch: { attempt: 1, reconcile_at: null },
          audit: { ...audit, detail: { attempt: 1 } },
        },
      ],
    });
    const row = await findTokenization(database.db, id);
    expect(outcome).toEqual({
      isApplied: true,
      version: 2,
      state: 'submitting',
      at: row?.updated_at,
    });
    // The later change decides about a column that both set.
    expect(row).toMatchObject({ state: 'submitting', version: 2, attempt: 1, reconcile_at: null });
    const events = await database.db
      .selectFrom('audit_event')
      .select(['version', 'event', 'from_state', 'to_state', 'detail'])
      .where('entity_id', '=', id)
      .orderBy('id')
      .execute();
    expect(events).toEqual([
      {
        version: 1,
        event: 'tokenization.requested',
        from_state: null,
        to_state: 'requested',
        detail: {},
      },
      {
        version: 2,
        event: 'tokenization.submitting',
        from_state: 'requested',
        to_state: 'submitting',
        detail: { attempt: 1 },
      },
    ]);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  });

  test('reports a second entity of a unique key as stale without failing the batch', async ({
    door,
  }) => {
    const credentialId = await addCredential(door);
    const apply = async (reference: string) =>
      await door.apply({
        entity: 'tokenization',
        row: { id: randomUUID(), version: 0, state: null },
        event: 'tokenization.requested',
        patch: tokenizationColumns(credentialId, reference),
        audit,
      });
    const outcomes = await Promise.all([apply('same'), apply('same'), apply('other')]);
    expect(outcomes.map(({ isApplied }) => isApplied)).toEqual([true, false, true]);
  });

  test('refuses an event that the transition table does not allow', async ({ door }) => {
    const id = await addTokenization(door, await addCredential(door));
    const refused = door.apply({
      entity: 'tokenization',
      row: { id, version: 1, state: 'requested' },
      event: 'tokenization.activated',
      audit,
    });
    await expect(refused).rejects.toMatchObject({ code: 'state_forbids' });
  });

  test('refuses unknown columns and details, which PostgreSQL would silently ignore', async ({
    door,
  }) => {
    const id = await addTokenization(door, await addCredential(door));
    const row = { id, version: 1, state: 'requested' };
    const change = { entity: 'tokenization', row, event: 'tokenization.submitting' } as const;
    await expect(door.apply({ ...change, audit, patch: { lease: 1 } })).rejects.toMatchObject({
      paths: ['lease'],
    });
    // The declared type hides the extra key from the compiler.
    const detail: object = { email: 'ada@example.com' };
    await expect(door.apply({ ...change, audit: { ...audit, detail } })).rejects.toMatchObject({
      paths: ['email'],
    });
  });
});
