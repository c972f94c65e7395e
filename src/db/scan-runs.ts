import { sql } from 'kysely';
import type { Db } from './connection/database.ts';

/** Records that a scan finished now, on the database's clock. No entity changes: no audit row. */
export async function recordScanRun(db: Db, name: string): Promise<void> {
  await db
    .insertInto('scan_run')
    .values({ name, finished_at: sql<Date>`clock_timestamp()` })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ finished_at: sql<Date>`clock_timestamp()` }),
    )
    .execute();
}

const probeName = 'readiness.probe';

/**
 * Makes one write of the kind that every change of state makes, in one statement. The row is shared
 * with the scans, since it needs the same: a row that is not audited and that no job waits for.
 */
export async function proveDatabaseWrite(db: Db): Promise<void> {
  await recordScanRun(db, probeName);
}

/** Milliseconds since each scan last finished, by its name. A scan that never ran is missing. */
export async function findScanAges(db: Db): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom('scan_run')
    .select([
      'name',
      sql<number>`(extract(epoch from clock_timestamp() - finished_at) * 1000)::double precision`.as(
        'ageMs',
      ),
    ])
    .where('name', '<>', probeName)
    .execute();
  return new Map(rows.map(({ name, ageMs }) => [name, ageMs]));
}
