import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely';
import { newestByState } from './newest-by-state.ts';
import type { Db } from './connection/database.ts';
import { callbackStates, type Channel } from '../domain/callback.ts';
import { isNotBuried } from './dead-letters.ts';
import type { CallbackRow } from './rows.ts';
import type { Schema } from './schema.ts';

/** The callback with this id. */
export async function findCallback(db: Db, id: string): Promise<CallbackRow | undefined> {
  return await db.selectFrom('callback').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Counts one more arrival of a message that is already in the inbox, and returns its row. Only the
 * count and its instant change, which is no transition and needs no audit row.
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

/**
 * The most unreadable messages that are stored in full: about one tokenization by one route, and
 * about none.
 */
const unreadablePerRouteMax = 20;
const unreadableOthersMax = 1_000;

/** How many messages beyond `unreadableOthersMax` one call of `makeRoomForUnreadable` removes. */
const removedAtOnceMax = 100;

/** A tokenization, and how messages about it arrive. */
export interface CallbackRoute {
  readonly tokenizationId: string;
  readonly channel: Channel;
  /** Whether they come to a per-request URL. */
  readonly isAddressed: boolean;
}

/**
 * Whether one more unreadable message about this tokenization may be stored in full. Each route has
 * a share, so that a customer who reloads a page takes no room from the gateway's pushes.
 */
export async function hasRoomForUnreadable(
  db: Db,
  { tokenizationId, channel, isAddressed }: CallbackRoute,
): Promise<boolean> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from (
      select from callback
      where reason = 'unreadable' and body_bytes > 256 and tokenization_id = ${tokenizationId}
        and channel = ${channel} and is_addressed = ${isAddressed}
      limit ${unreadablePerRouteMax}
    ) kept`.execute(db);
  return (rows[0]?.count ?? 0) < unreadablePerRouteMax;
}

/**
 * Makes room for one more unreadable message that names no tokenization: where 1,000 are stored,
 * it deletes the oldest message of the sender who has the most. A sender who floods the inbox thus
 * displaces its own messages and not one of the gateway. Their audit rows stay.
 */
export async function makeRoomForUnreadable(db: Db): Promise<void> {
  const { rows: excess } = await sql<{ id: string }>`
    with stored as (
      select id, source_index, received_at from callback
      where reason = 'unreadable' and body_bytes > 256 and tokenization_id is null
        and state = 'rejected' and version = 1
      limit ${unreadableOthersMax + removedAtOnceMax}
    ),
    counted as (
      select id, received_at, count(*) over (partition by source_index) as of_sender from stored
    ),
    ranked as (
      select id, row_number() over (order by of_sender desc, received_at) as rank from counted
    )
    select id from ranked
    where rank <= (select count(*) from stored) - ${unreadableOthersMax - 1}`.execute(db);
  if (excess.length === 0) return;
  // Rows that a concurrent call deletes are skipped, so that no call waits for another.
  await sql`
    with removed as materialized (
      select id from callback where id = any (${excess.map(({ id }) => id)}::uuid[])
      for update skip locked
    )
    delete from callback where id = any (array(select id from removed))`.execute(db);
}

/** A callback that is due to be judged. */
export type DueCallback = Pick<CallbackRow, 'id' | 'channel' | 'version'>;

/**
 * Postpones the next judging of a callback that waits for the gateway or for our own request.
 * Without it, waiting callbacks would fill the scan's batch and hide others. The state stays, so
 * there is no audit row.
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
 * Callbacks in `state` that are due, the longest overdue first: their job was lost or never reached
 * its queue, or they are orphans that waited too long. One state per query uses the partial index.
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
 * Deletes at most `rowsMax` messages that the public listener refused more than `ageMs`
 * milliseconds ago, and returns how many. Their single audit row stays.
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
      .where('received_at', '<', msAgo(ageMs))
      .orderBy('received_at')
      .limit(rowsMax),
  );
}

/**
 * Messages without a proving signature that were rejected, abandoned or accepted without effect
 * more than `ageMs` milliseconds ago. Unreadable ones have an age of their own.
 */
export async function findUnbelievedCallbacks(
  db: Db,
  { ageMs, unreadableAgeMs }: { readonly ageMs: number; readonly unreadableAgeMs: number },
  rowsMax: number,
): Promise<readonly Pick<CallbackRow, 'id' | 'version' | 'state'>[]> {
  return await db
    .selectFrom('callback')
    .select(['id', 'version', 'state'])
    .where(
      sql<boolean>`state in ('rejected', 'abandoned', 'accepted') and version > 1 and not coalesce(is_believed, state = 'accepted')`,
    )
    .where('updated_at', '<', msAgo(Math.min(ageMs, unreadableAgeMs)))
    .where(
      sql<boolean>`updated_at < case reason when 'unreadable' then ${msAgo(unreadableAgeMs)} else ${msAgo(ageMs)} end`,
    )
    .orderBy('updated_at')
    .limit(rowsMax)
    .execute();
}

/** Deletes at most `rowsMax` callbacks in state `expired`; returns how many. */
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

function msAgo(ageMs: number): RawBuilder<Date> {
  return sql<Date>`statement_timestamp() - ${ageMs} * interval '1 millisecond'`;
}

/** Callbacks in `state`, or in any state, newest first. */
export async function listCallbacks(
  db: Db,
  state: CallbackRow['state'] | undefined,
  rowsMax: number,
): Promise<readonly CallbackRow[]> {
  const states = state === undefined ? callbackStates : [state];
  const query = newestByState<CallbackRow>('callback', 'received_at', states, rowsMax);
  return (await query.execute(db)).rows;
}

/**
 * Counts the callbacks about these tokenizations by state, and their repeated arrivals as
 * `repeated`.
 */
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
