import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

/**
 * Runs `work` while holding the advisory lock of this name, which all processes of one database share. The lock goes with
 * its transaction, so a process that dies holds nothing. Of one pool only one at a time takes a connection for it: however many wait, `work` finds
 * another one. Not within `work` of another lock.
 */
export async function withAdvisoryLock<Result>(
  db: Kysely<Schema>,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const hold = async (): Promise<Result> => await holdLock(db, name, work);
  const mine = (latest.get(db) ?? Promise.resolve()).then(hold, hold);
  latest.set(db, mine);
  return await mine;
}

/** Whoever came last for a lock, by pool. */
const latest = new WeakMap<Kysely<Schema>, Promise<unknown>>();

async function holdLock<Result>(
  db: Kysely<Schema>,
  name: string,
  work: () => Promise<Result>,
): Promise<Result> {
  return await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended(${`token-lifecycle ${name}`}, 0))`.execute(
      trx,
    );
    return await work();
  });
}
