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

/** Orphans that one new tokenization takes up at once; the scan finds any others. */
const orphansMax = 100;

/** A callback that waits for its verdict. */
export type DueCallback = Pick<CallbackRow, 'id' | 'channel' | 'version'>;

/** Callbacks whose verdict is overdue: their job was lost, or never reached the queue. */
export async function findDueCallbacks(db: Db, rowsMax: number): Promise<readonly DueCallback[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'channel', 'version'])
    .where('due_at', '<=', sql<Date>`statement_timestamp()`)
    .orderBy('due_at')
    .limit(rowsMax)
    .execute();
}

/** Orphans whose tokenization has appeared since they were parked, or has learned the gateway's reference. */
export async function findMatchableOrphans(
  db: Db,
  rowsMax: number,
): Promise<readonly DueCallback[]> {
  const { rows } = await sql<DueCallback>`
    select c.id, c.channel, c.version from callback c
    where c.state = 'orphaned' and (
      exists (select from tokenization t where t.account = c.account and t.terminal = c.terminal
        and t.merchant_reference_id = c.merchant_reference_id)
      or (c.merchant_reference_id is null and exists (select from tokenization t
        where t.order_reference_id = c.order_reference_id
          and t.account = c.account and t.terminal = c.terminal)))
    limit ${rowsMax}`.execute(db);
  return rows;
}

/** Orphans that wait for a tokenization with this reference. */
export async function findOrphansOf(
  db: Db,
  key: { account: string; terminal: string; merchantReferenceId: string },
): Promise<readonly DueCallback[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'channel', 'version'])
    .where('state', '=', 'orphaned')
    .where('merchant_reference_id', '=', key.merchantReferenceId)
    .where('account', '=', key.account)
    .where('terminal', '=', key.terminal)
    .limit(orphansMax)
    .execute();
}

/** Refused messages that are older than `ageMs`, in milliseconds. */
export async function findOldRefusedCallbacks(
  db: Db,
  ageMs: number,
  rowsMax: number,
): Promise<readonly Pick<CallbackRow, 'id' | 'version' | 'state'>[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'version', 'state'])
    .where('state', '=', 'rejected')
    .where('reason', 'in', ['unreadable', 'unknown_account'])
    .where('received_at', '<', sql<Date>`clock_timestamp() - ${ageMs} * interval '1 millisecond'`)
    .orderBy('received_at')
    .limit(rowsMax)
    .execute();
}

/** Removes callbacks in state `expired`; returns how many. */
export async function deleteExpiredCallbacks(db: Db): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('callback')
    .where('state', '=', 'expired')
    .executeTakeFirst();
  return Number(numDeletedRows);
}

/** Callbacks, newest first. */
export async function listCallbacks(
  db: Db,
  state: CallbackRow['state'] | undefined,
  rowsMax: number,
): Promise<readonly CallbackRow[]> {
  const all = db.selectFrom('callback').selectAll().orderBy('received_at', 'desc').limit(rowsMax);
  return await (state === undefined ? all : all.where('state', '=', state)).execute();
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
