import type { Db } from './database.ts';
import type { DeadLetterRow } from './rows.ts';

/** Work that waits for an operator, oldest first. */
export async function listDeadLetters(db: Db, rowsMax: number): Promise<readonly DeadLetterRow[]> {
  return await db
    .selectFrom('dead_letter')
    .selectAll()
    .where('state', '=', 'dead')
    .orderBy('created_at')
    .limit(rowsMax)
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
