import { type Kysely, sql } from 'kysely';
import type { Schema } from '../schema.ts';

/**
 * Runs `work` while holding the advisory lock of this name, which all processes of one database
 * share. PostgreSQL releases the lock with its transaction, so a process that dies holds nothing.
 *
 * The callers of one pool queue up in this process and take one connection between them, so waiting
 * for a lock never exhausts the pool. `work` must not take another lock: it would wait for itself.
 */
export async function withAdvisoryLock<Result>(
  db: Kysely<Schema>,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const hold = async (): Promise<Result> => await runInLock(db, name, work);
  const turn = (queueTails.get(db) ?? Promise.resolve()).then(hold, hold);
  queueTails.set(db, turn);
  return await turn;
}

/** The last caller in the queue of each pool. */
const queueTails = new WeakMap<Kysely<Schema>, Promise<unknown>>();

async function runInLock<Result>(
  db: Kysely<Schema>,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  return await db.transaction().execute(async (trx) => {
    // Waiting is what this lock is for: the limit for locks of rows does not apply.
    await sql`set local lock_timeout = 0`.execute(trx);
    await sql`select pg_advisory_xact_lock(hashtextextended(${`token-lifecycle ${name}`}, 0))`.execute(
      trx,
    );
    return await work();
  });
}
