import { sql } from 'kysely';
import type { Db } from './connection/database.ts';
import type { OutboxRow } from './rows.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** The most rows of one ordering key that one claim takes after the key's first row. */
export const followersMax = 8;

/**
 * Leases the longest due rows to the relay `owner`. The claim commits before the relay sends a row,
 * so no transaction stays open over the queue's network. SKIP LOCKED lets relays share the work.
 *
 * Rows of one ordering key are relayed in order. A relay can claim only the first row of a key
 * (`head`). That row stays in the table until it is relayed, so no other relay sees a later row as
 * the first. The claim also takes the rows after it (`follower`), up to the first that is not due
 * and at most `followersMax`, so that a long key does not delay other rows.
 *
 * Leased and postponed rows cost nothing, because the index scan ends before them. For that, the
 * expression must be the one of the migration's index, and the clock must be stable: a volatile
 * clock is no index condition.
 */
export async function claimOutbox(
  db: Db,
  owner: string,
  leaseMs: number,
  rowsMax: number,
): Promise<readonly OutboxRow[]> {
  const { rows } = await sql<OutboxRow>`
    with head as (
      select o.id, o.enqueue_key from outbox o
      where greatest(o.not_before, o.lease_until) <= statement_timestamp()
        and (o.enqueue_key is null or not exists (
          select from outbox earlier where earlier.enqueue_key = o.enqueue_key and earlier.id < o.id))
      order by greatest(o.not_before, o.lease_until), o.id limit ${rowsMax} for update skip locked
    ), follower as (
      select f.id, bool_and(greatest(f.not_before, f.lease_until) <= statement_timestamp())
        over (partition by f.enqueue_key order by f.id) as is_due
      from head h cross join lateral (
        select * from outbox f where f.enqueue_key = h.enqueue_key and f.id > h.id
        order by f.id limit ${followersMax}) f
    )
    update outbox set lease_owner = ${owner}, tries = tries + 1,
      lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
    where id in (select id from head union all select id from follower where is_due)
    returning *`.execute(db);
  return [...rows].sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
}

/**
 * The job that replaces a row's payload once the payload is sealed in its own table. Its payload
 * holds only the id of that sealed row.
 */
export interface SealedRow {
  readonly id: string;
  readonly jobId: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Removes the content from rows after it was sealed in its own table. The row keeps its place in
 * the order, and its job holds only the id of the sealed row. Rows that `owner` no longer leases
 * stay as they are.
 */
export async function stripOutbox(
  db: Db,
  owner: string,
  sealed: readonly SealedRow[],
): Promise<void> {
  if (sealed.length === 0) return;
  const rows = sealed.map(({ id, jobId, payload }) => ({ id, job_id: jobId, payload }));
  await sql`
    update outbox o set job_id = s.job_id, payload = s.payload
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as s(id bigint, job_id text, payload jsonb)
    where o.id = s.id and o.lease_owner = ${owner}`.execute(db);
}

/** Deletes rows that the relay sent to their queue, if `owner` still leases them. */
export async function deleteRelayed(db: Db, owner: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .deleteFrom('outbox')
    .where('id', 'in', [...ids])
    .where('lease_owner', '=', owner)
    .execute();
}

/** A row that could not be sent, with the wait before its next attempt. */
export interface ReleasedRow {
  readonly id: string;
  readonly delayMs: number;
  /** Whether the failed attempt counts. An outage is not the row's fault, so it does not. */
  readonly countsAsAttempt: boolean;
}

/** Ends the lease of rows that could not be sent, if `owner` still leases them. */
export async function releaseOutbox(
  db: Db,
  owner: string,
  released: readonly ReleasedRow[],
): Promise<void> {
  if (released.length === 0) return;
  const rows = released.map(({ id, delayMs, countsAsAttempt }) => ({
    id,
    delay_ms: delayMs,
    tries_back: countsAsAttempt ? 0 : 1,
  }));
  await sql`
    update outbox o set lease_owner = null, tries = o.tries - r.tries_back,
      lease_until = clock_timestamp() + r.delay_ms * interval '1 millisecond'
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(id bigint, delay_ms bigint, tries_back integer)
    where o.id = r.id and o.lease_owner = ${owner}`.execute(db);
}

/** Adds jobs to the outbox that belong to no transition. */
export async function insertOutboxJobs(db: Db, jobs: readonly OutboxJob[]): Promise<void> {
  if (jobs.length === 0) return;
  await db
    .insertInto('outbox')
    .values(
      jobs.map(({ queue, name, jobId, payload, delayMs = 0 }) => ({
        queue,
        job_name: name,
        job_id: jobId,
        payload: JSON.stringify(payload),
        not_before: sql<Date>`clock_timestamp() + ${delayMs} * interval '1 millisecond'`,
      })),
    )
    .execute();
}

/** The rows that wait to be relayed. */
export interface OutboxBacklog {
  readonly rows: number;
  /** How long the oldest due row has been due, in milliseconds; 0 if no row is due. */
  readonly oldestMs: number;
}

/** Measures the backlog of the outbox. */
export async function readOutboxBacklog(db: Db): Promise<OutboxBacklog> {
  const { rows } = await sql<OutboxBacklog>`
    select count(*)::integer as rows,
      greatest(coalesce(extract(epoch from clock_timestamp() - min(not_before)) * 1000, 0), 0)::float8 as "oldestMs"
    from outbox`.execute(db);
  return rows[0] ?? { rows: 0, oldestMs: 0 };
}
