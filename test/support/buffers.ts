import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Db } from '../../src/db/connection/database.ts';
import type { Schema } from '../../src/db/schema.ts';

/**
 * Counts the pages of our tables and indexes that `use` reads, triggers included. Unlike a
 * duration, the count is the same on every machine. The statistics are refreshed first, and the
 * changes of `use` are rolled back.
 */
export async function pagesRead(
  databaseUrl: string,
  use: (db: Db) => Promise<unknown>,
): Promise<number> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 1,
    options: '-c search_path=token_lifecycle',
  });
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  try {
    const read = async (): Promise<number> => {
      const { rows } = await pool.query<{ pages: number }>(
        `select sum(pg_stat_get_xact_blocks_fetched(oid))::integer as pages from pg_class
         where relnamespace = 'token_lifecycle'::regnamespace`,
      );
      return rows[0]?.pages ?? 0;
    };
    await pool.query('vacuum analyze');
    await pool.query('begin');
    const before = await read();
    await use(db);
    const after = await read();
    await pool.query('rollback');
    return after - before;
  } finally {
    await db.destroy();
  }
}
