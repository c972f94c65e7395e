import { describe, expect } from 'vitest';
import { sql } from 'kysely';
import type { Db } from '../../src/db/connection/database.ts';
import {
  claimOutbox,
  deleteRelayed,
  followersMax,
  readOutboxBacklog,
  releaseOutbox,
} from '../../src/db/outbox.ts';
import { pagesRead } from '../support/buffers.ts';
import { test } from '../support/harness/fixtures.ts';

/** Adds rows with these ordering keys, in this order. */
async function addRows(db: Db, keys: readonly (string | null)[]): Promise<void> {
  await sql`
    insert into outbox (queue, job_name, job_id, payload, enqueue_key)
    select 'notify', 'x', 'x', '{}', key from unnest(${keys}::text[]) with ordinality as k(key, n) order by n`.execute(
    db,
  );
}

const keysOf = (rows: readonly { enqueue_key: string | null }[]) =>
  rows.map(({ enqueue_key: key }) => key);

describe('outbox claim', () => {
  test('leaves later rows of a key while an earlier one is leased or postponed, and no others', async ({
    database: { db },
  }) => {
    await addRows(db, ['a', 'a', null, 'b', 'a']);
    const first = await claimOutbox(db, 'one', 60_000, 2);
    // The claim took two heads, `a` and null, and the followers of `a`.
    expect(keysOf(first)).toEqual(['a', 'a', null, 'a']);
    expect(keysOf(await claimOutbox(db, 'two', 60_000, 10))).toEqual(['b']);

    const [head, next, free, last] = first;
    if (!head || !next || !free || !last) throw new Error('rows are missing');
    await releaseOutbox(db, 'one', [{ id: head.id, delayMs: 60_000, countsAsAttempt: true }]);
    await releaseOutbox(
      db,
      'one',
      [next, free, last].map(({ id }) => ({ id, delayMs: 0, countsAsAttempt: false })),
    );
    const again = await claimOutbox(db, 'two', 60_000, 10);
    expect(again.map(({ id, tries }) => ({ id, tries }))).toEqual([{ id: free.id, tries: 1 }]);
    await deleteRelayed(db, 'one', [head.id]);
    expect(await claimOutbox(db, 'two', 60_000, 10)).toEqual([]);
  });

  test('takes a limited number of followers per key, up to the first that is not due', async ({
    database: { db },
  }) => {
    await addRows(db, [...Array.from({ length: 50 }, () => 'long'), null, 'late', 'late', 'late']);
    await sql`
      update outbox set not_before = now() + interval '1 hour'
      where id = (select min(id) + 1 from outbox where enqueue_key = 'late')`.execute(db);
    const claimed = keysOf(await claimOutbox(db, 'one', 60_000, 200));
    expect(claimed.filter((key) => key === 'long')).toHaveLength(1 + followersMax);
    expect(claimed.filter((key) => key !== 'long')).toEqual([null, 'late']);
  });

  test('takes the rows of a dead relay in order after its lease ended', async ({
    database: { db },
  }) => {
    await addRows(db, ['a', 'a', 'a']);
    const dead = await claimOutbox(db, 'dead', 0, 10);
    const heir = await claimOutbox(db, 'heir', 60_000, 10);
    expect(heir.map(({ id }) => id)).toEqual(dead.map(({ id }) => id));
    await deleteRelayed(
      db,
      'dead',
      dead.map(({ id }) => id),
    );
    expect((await readOutboxBacklog(db)).rows).toBe(3);
  });

  test('never gives one key to two relays concurrently, and keeps the order of each key', async ({
    database: { db },
  }) => {
    const keys = Array.from({ length: 400 }, (_, n) => (n % 5 === 0 ? null : `k${(n * 7) % 11}`));
    await addRows(db, keys);
    const holders = new Map<string, string>();
    const relayed = new Map<string, bigint[]>();
    const relays = Array.from({ length: 6 }, async (_, n) => {
      const owner = `relay-${n}`;
      for (let turn = 0; (await readOutboxBacklog(db)).rows > 0; turn += 1) {
        const rows = await claimOutbox(db, owner, 60_000, 7);
        for (const key of new Set(keysOf(rows))) {
          if (key === null) continue;
          expect(holders.get(key) ?? owner).toBe(owner);
          holders.set(key, owner);
        }
        // Sometimes only the first half is relayed, as when the queue fails.
        const through = rows.slice(0, turn % 3 === 0 ? Math.ceil(rows.length / 2) : rows.length);
        for (const { id, enqueue_key: key } of through) {
          if (key !== null) relayed.set(key, [...(relayed.get(key) ?? []), BigInt(id)]);
        }
        for (const key of keysOf(rows)) if (key !== null) holders.delete(key);
        await deleteRelayed(
          db,
          owner,
          through.map(({ id }) => id),
        );
        await releaseOutbox(
          db,
          owner,
          rows.slice(through.length).map(({ id }) => ({ id, delayMs: 0, countsAsAttempt: false })),
        );
      }
    });
    await Promise.all(relays);
    expect(relayed.size).toBe(11);
    for (const ids of relayed.values()) expect(ids).toEqual(ids.toSorted((a, b) => Number(a - b)));
    expect([...relayed.values()].flat()).toHaveLength(320);
  });

  test('costs no more with thousands of postponed and leased rows', async ({
    database: { db },
    databaseUrl,
  }) => {
    await addRows(
      db,
      Array.from({ length: 6_000 }, () => null),
    );
    await sql`update outbox set not_before = now() + interval '1 day' where id % 2 = 0`.execute(db);
    await sql`update outbox set lease_until = now() + interval '1 minute' where id % 2 = 1`.execute(
      db,
    );
    await addRows(db, [null, 'a', 'a']);
    const pages = await pagesRead(databaseUrl, async (used) => {
      expect(keysOf(await claimOutbox(used, 'one', 60_000, 200))).toEqual([null, 'a', 'a']);
    });
    expect(pages).toBeLessThan(200);
  });

  test('backlog has the number of rows and the age of the oldest due row', async ({
    database: { db },
  }) => {
    expect(await readOutboxBacklog(db)).toEqual({ rows: 0, oldestMs: 0 });
    await addRows(db, [null, 'a']);
    await sql`update outbox set not_before = clock_timestamp() + interval '1 hour'`.execute(db);
    expect(await readOutboxBacklog(db)).toEqual({ rows: 2, oldestMs: 0 });
    await sql`update outbox set not_before = clock_timestamp() - interval '90 seconds' where enqueue_key = 'a'`.execute(
      db,
    );
    const { oldestMs } = await readOutboxBacklog(db);
    expect(oldestMs).toBeGreaterThanOrEqual(90_000);
    expect(oldestMs).toBeLessThan(120_000);
  });
});
