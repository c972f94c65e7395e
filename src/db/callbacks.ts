import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import type { Db } from './database.ts';
import { isNotBuried } from './dead-letters.ts';
import type { CallbackRow } from './rows.ts';
import type { Schema } from './schema.ts';

/** The callback with this id, if there is one. */
export async function findCallback(db: Db, id: string): Promise<CallbackRow | undefined> {
  return await db.selectFrom('callback').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Counts one more arrival of a message that is already in the inbox, and returns its row. Like `postponeCallback` it is
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

/**
 * Says when a callback that waits, for the gateway or for our own request, is looked for again, in milliseconds from now. No change of
 * state, so there is nothing to audit; without it, those that wait would hide others from the scan.
 */
export async function postponeCallback(db: Db, id: string, delayMs: number): Promise<void> {
  await db
    .updateTable('callback')
    .set({ due_at: sql<Date>`clock_timestamp() + ${delayMs} * interval '1 millisecond'` })
    .where('id', '=', id)
    .where('state', 'in', ['received', 'matched'])
    .execute();
}

/**
 * Callbacks in `state` whose time has come, the longest overdue first: a job was lost or never reached its queue, or an
 * orphan has waited for too long. Each state is scanned by itself, on its part of the partial index.
 */
export async function findDueCallbacks(
  db: Db,
  state: CallbackRow['state'],
  rowsMax: number,
): Promise<readonly DueCallback[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'channel', 'version'])
    .where('state', '=', state)
    .where('due_at', '<=', sql<Date>`statement_timestamp()`)
    .where(
      isNotBuried('callback', sql`case channel when 'notify' then 'notify' else 'callback' end`),
    )
    .orderBy('due_at')
    .limit(rowsMax)
    .execute();
}

/**
 * Removes messages that were refused at the door `ageMs` ago, in milliseconds, at most `rowsMax` of them; returns how many. Their
 * audit row, the only one they have, stays.
 */
export async function deleteRefusedCallbacks(
  db: Db,
  ageMs: number,
  rowsMax: number,
): Promise<number> {
  return await deleteCallbacks(
    db,
    db
      .selectFrom('callback')
      .select('id')
      .where('state', '=', 'rejected')
      .where('version', '=', sql.lit(1))
      .where('received_at', '<', before(ageMs))
      .orderBy('received_at')
      .limit(rowsMax),
  );
}

/** Messages that no signature proves and that were rejected, given up or changed nothing, `ageMs` ago, in milliseconds. */
export async function findUnbelievedCallbacks(
  db: Db,
  ageMs: number,
  rowsMax: number,
): Promise<readonly Pick<CallbackRow, 'id' | 'version' | 'state'>[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'version', 'state'])
    .where(
      sql<boolean>`state in ('rejected', 'abandoned', 'accepted') and version > 1 and not coalesce(is_believed, state = 'accepted')`,
    )
    .where('updated_at', '<', before(ageMs))
    .orderBy('updated_at')
    .limit(rowsMax)
    .execute();
}

/** Removes callbacks in state `expired`, at most `rowsMax`; returns how many. */
export async function deleteExpiredCallbacks(db: Db, rowsMax: number): Promise<number> {
  return await deleteCallbacks(
    db,
    db.selectFrom('callback').select('id').where('state', '=', 'expired').limit(rowsMax),
  );
}

async function deleteCallbacks(
  db: Db,
  ids: SelectQueryBuilder<Schema, 'callback', { id: string }>,
): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('callback')
    .where('id', 'in', ids)
    .executeTakeFirst();
  return Number(numDeletedRows);
}

function before(ageMs: number): RawBuilder<Date> {
  return sql<Date>`statement_timestamp() - ${ageMs} * interval '1 millisecond'`;
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
