import { type Kysely, sql } from 'kysely';
import type { Schema } from './schema.ts';

/**
 * Runs `work` while holding the advisory lock of this name, which all processes of one database share. The lock goes with
 * its transaction, so a process that dies holds nothing.
 */
export async function withAdvisoryLock<Result>(
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
