import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { OutboxRow } from './rows.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';

/** How many rows of one ordering key come along behind its first in one claim. */
export const followersMax = 8;

/**
 * Leases the longest due rows to `owner`. The claim is committed before anything is sent: a transaction is never held over
 * the queue's network. SKIP LOCKED lets any number of relays share the work.
 *
 * Rows of one key go in order. Only the first row of a key can be claimed (`head`), and it stays in the table until it is relayed, so no other
 * relay ever sees a later one as the first, whatever locks and leases say at that moment. The rows behind
 * it come along (`follower`), `followersMax` at most and up to the first that is not due: they are relayed one after the other, and other
 * rows must not wait for a long row of them.
 *
 * Rows that are put off or leased cost nothing: the index ends before them. Its expression has to stay as the migration wrote it, and the
 * clock has to be a stable one: a volatile one is no index condition.
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

/** What takes the place of a row whose content was sealed. */
export interface SealedRow {
  readonly id: string;
  readonly jobId: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * Takes the content out of rows, once it is sealed where it belongs: what stays is the job about it, by id, in the same place of the
 * order. Rows that `owner` no longer holds are left alone.
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

/** Deletes rows that are on their queue, if `owner` still holds them. */
export async function deleteRelayed(db: Db, owner: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await db
    .deleteFrom('outbox')
    .where('id', 'in', [...ids])
    .where('lease_owner', '=', owner)
    .execute();
}

/** A row that could not be sent, and when it may be tried again. */
export interface ReleasedRow {
  readonly id: string;
  readonly delayMs: number;
  /** Whether the row was not at fault: an outage costs no try. */
  readonly isTryFree: boolean;
}

/** Gives rows back that could not be sent, if `owner` still holds them. */
export async function releaseOutbox(
  db: Db,
  owner: string,
  released: readonly ReleasedRow[],
): Promise<void> {
  if (released.length === 0) return;
  const rows = released.map(({ id, delayMs, isTryFree }) => ({
    id,
    delay_ms: delayMs,
    tries_back: isTryFree ? 1 : 0,
  }));
  await sql`
    update outbox o set lease_owner = null, tries = o.tries - r.tries_back,
      lease_until = clock_timestamp() + r.delay_ms * interval '1 millisecond'
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as r(id bigint, delay_ms bigint, tries_back integer)
    where o.id = r.id and o.lease_owner = ${owner}`.execute(db);
}

/** Puts jobs into the outbox that follow from no change, to be relayed like all others. */
export async function insertOutboxJobs(db: Db, jobs: readonly OutboxJob[]): Promise<void> {
  if (jobs.length === 0) return;
  await db
    .insertInto('outbox')
    .values(
      jobs.map(({ queue, name, jobId, payload }) => ({
        queue,
        job_name: name,
        job_id: jobId,
        payload: JSON.stringify(payload),
      })),
    )
    .execute();
}

/** What waits to be relayed. */
export interface OutboxBacklog {
  readonly rows: number;
  /** How long the oldest row that is due has been due, in milliseconds; 0 without one. */
  readonly oldestMs: number;
}

/** How many rows wait to be relayed, and for how long. */
export async function readOutboxBacklog(db: Db): Promise<OutboxBacklog> {
  const { rows } = await sql<OutboxBacklog>`
    select count(*)::integer as rows,
      greatest(coalesce(extract(epoch from clock_timestamp() - min(not_before)) * 1000, 0), 0)::float8 as "oldestMs"
    from outbox`.execute(db);
  return rows[0] ?? { rows: 0, oldestMs: 0 };
}
