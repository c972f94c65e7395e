import { sql } from 'kysely';
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
