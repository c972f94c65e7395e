import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { OutboxRow } from './rows.ts';
import type { OutboxJob } from './transition-door.ts';

/**
 * Leases the oldest due rows to `owner`. The claim is committed before anything is sent: a transaction is never held over
 * the queue's network. SKIP LOCKED lets any number of relays share the work.
 */
export async function claimOutbox(
  db: Db,
  owner: string,
  leaseMs: number,
  rowsMax: number,
): Promise<readonly OutboxRow[]> {
  const { rows } = await sql<OutboxRow>`
    update outbox set lease_owner = ${owner}, tries = tries + 1,
      lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
    where id in (
      select id from outbox
      where not_before <= clock_timestamp() and (lease_until is null or lease_until <= clock_timestamp())
      order by id limit ${rowsMax} for update skip locked)
    returning *`.execute(db);
  return [...rows].sort((a, b) => Number(BigInt(a.id) - BigInt(b.id)));
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

/** Gives rows back that could not be sent, to be tried again after `delayMs`. */
export async function releaseOutbox(
  db: Db,
  owner: string,
  ids: readonly string[],
  delayMs: number,
): Promise<void> {
  if (ids.length === 0) return;
  await db
    .updateTable('outbox')
    .set({
      lease_owner: null,
      lease_until: sql<Date>`clock_timestamp() + ${delayMs} * interval '1 millisecond'`,
    })
    .where('id', 'in', [...ids])
    .where('lease_owner', '=', owner)
    .execute();
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

/** How many rows wait to be relayed. */
export async function countOutbox(db: Db): Promise<number> {
  const row = await db
    .selectFrom('outbox')
    .select(sql<number>`count(*)::integer`.as('count'))
    .executeTakeFirst();
  return row?.count ?? 0;
}
