import { type RawBuilder, sql, type SqlBool } from 'kysely';
import type { Db } from './connection/database.ts';
import type { DeadLetterRow } from './rows.ts';

/** Dead letters that wait for an operator, oldest first; with `afterId`, those after that one. */
export async function listDeadLetters(
  db: Db,
  rowsMax: number,
  afterId?: string,
): Promise<readonly DeadLetterRow[]> {
  const waiting = db
    .selectFrom('dead_letter')
    .selectAll()
    .where('state', '=', 'dead')
    .orderBy('created_at')
    .orderBy('id')
    .limit(rowsMax);
  if (afterId === undefined) return await waiting.execute();
  return await waiting
    .where(
      sql<boolean>`(created_at, id) > (select created_at, id from dead_letter where id = ${afterId})`,
    )
    .execute();
}

/** The dead letter with this id. */
export async function findDeadLetter(db: Db, id: string): Promise<DeadLetterRow | undefined> {
  return await db.selectFrom('dead_letter').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * A condition that skips rows whose job is a dead letter. It applies before a scan's limit, so dead
 * letters never fill the batch and hide other due rows.
 *
 * @param table the scanned table
 * @param kind the kind of its jobs' ids
 */
export function isNotBuried(table: string, kind: RawBuilder<unknown>): RawBuilder<SqlBool> {
  return sql<SqlBool>`not exists (select from dead_letter buried where buried.state = 'dead'
    and buried.job_id = ${kind} || '-' || ${sql.ref(`${table}.id`)} || '-g' || ${sql.ref(`${table}.version`)})`;
}

/** Those of the job ids whose job is a dead letter. */
export async function findBuriedJobIds(
  db: Db,
  jobIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (jobIds.length === 0) return new Set();
  const rows = await db
    .selectFrom('dead_letter')
    .select('job_id')
    .where('state', '=', 'dead')
    .where('job_id', 'in', [...jobIds])
    .execute();
  return new Set(rows.map((row) => row.job_id));
}
