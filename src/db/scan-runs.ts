import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Notes that a scan has looked, on the database's clock. It is no state of anything, so there is nothing to audit. */
export async function recordScanRun(db: Db, name: string): Promise<void> {
  await db
    .insertInto('scan_run')
    .values({ name, finished_at: sql<Date>`clock_timestamp()` })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ finished_at: sql<Date>`clock_timestamp()` }),
    )
    .execute();
}

/** How long ago each scan looked, in milliseconds, by its name; a scan that never ran is missing. */
export async function findScanAges(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('scan_run')
    .select([
      'name',
      sql<number>`(extract(epoch from clock_timestamp() - finished_at) * 1000)::double precision`.as(
        'ageMs',
      ),
    ])
    .execute();
  return new Map(rows.map(({ name, ageMs }) => [name, ageMs]));
}
