import { type RawBuilder, sql, type SqlBool } from 'kysely';
import type { Db } from './database.ts';
import type { DeadLetterRow } from './rows.ts';

/** Work that waits for an operator, oldest first; with `afterId`, what comes after that one. */
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

/** The dead letter with this id, if there is one. */
export async function findDeadLetter(db: Db, id: string): Promise<DeadLetterRow | undefined> {
  return await db.selectFrom('dead_letter').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Leaves out rows whose job waits for an operator, before a scan's limit is counted: however many of them are due, they don't keep the
 * others from being found. `table` is the scanned one, `kind` that of its jobs' ids.
 */
export function isNotBuried(table: string, kind: RawBuilder<unknown>): RawBuilder<SqlBool> {
  return sql<SqlBool>`not exists (select from dead_letter buried where buried.state = 'dead'
    and buried.job_id = ${kind} || '-' || ${sql.ref(`${table}.id`)} || '-g' || ${sql.ref(`${table}.version`)})`;
}

/** Which of these job ids wait for an operator. */
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
