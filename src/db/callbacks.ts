import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { CallbackRow } from './rows.ts';

/** The callback with this id, if there is one. */
export async function findCallback(db: Db, id: string): Promise<CallbackRow | undefined> {
  return await db.selectFrom('callback').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Counts one more arrival of a message that is already in the inbox, and returns its row. This is the one write that is
 * no transition: nothing but the count and its instant changes, so there is nothing to audit.
 */
export async function countCallbackAgain(
  db: Db,
  messageDigest: string,
): Promise<CallbackRow | undefined> {
  return await db
    .updateTable('callback')
    .set({
      seen_count: sql<number>`seen_count + 1`,
      last_seen_at: sql<Date>`clock_timestamp()`,
    })
    .where('message_digest', '=', messageDigest)
    .returningAll()
    .executeTakeFirst();
}

/** A callback that waits for its verdict. */
export type DueCallback = Pick<CallbackRow, 'id' | 'channel' | 'version'>;

/** Callbacks whose verdict is overdue: their job was lost, or never reached the queue. */
export async function findDueCallbacks(db: Db, rowsMax: number): Promise<readonly DueCallback[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'channel', 'version'])
    .where('due_at', '<=', sql<Date>`clock_timestamp()`)
    .orderBy('due_at')
    .limit(rowsMax)
    .execute();
}

/** Orphans whose tokenization has appeared since they were parked. */
export async function findMatchableOrphans(
  db: Db,
  rowsMax: number,
): Promise<readonly DueCallback[]> {
  return await db
    .selectFrom('callback as c')
    .innerJoin('tokenization as t', (join) =>
      join
        .onRef('t.account', '=', 'c.account')
        .onRef('t.terminal', '=', 'c.terminal')
        .onRef('t.merchant_reference_id', '=', 'c.merchant_reference_id'),
    )
    .select(['c.id', 'c.channel', 'c.version'])
    .where('c.state', '=', 'orphaned')
    .limit(rowsMax)
    .execute();
}

/** How many callbacks about these tokenizations are in each state, and, as `repeated`, how often one came again. */
export async function countCallbacks(
  db: Db,
  tokenizationIds: readonly string[],
): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{ state: string; count: number; repeated: number }>`
    select state, count(*)::integer as count, sum(seen_count - 1)::integer as repeated
    from callback where tokenization_id = any(${[...tokenizationIds]}::uuid[])
    group by state`.execute(db);
  const counts = rows.map(({ state, count }): [string, number] => [state, count]);
  const repeated = rows.reduce((sum, row) => sum + row.repeated, 0);
  return { ...Object.fromEntries(counts), repeated };
}
