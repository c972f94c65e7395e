import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { type Db, handlePoolErrors } from '../../src/db/connection/database.ts';
import type { Schema } from '../../src/db/schema.ts';

/** The plan of a statement in the form of `explain (analyze, buffers, format json)`. */
export interface Plan {
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
}

/** Runs `run`, then explains each statement that it sent, under these PostgreSQL settings. */
export async function explainStatements(
  databaseUrl: string,
  run: (db: Db) => Promise<unknown>,
  settings: Readonly<Record<string, string>> = {},
): Promise<readonly Plan[]> {
  const options = Object.entries({ search_path: 'token_lifecycle', ...settings });
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 1,
    options: options.map(([name, value]) => `-c ${name}=${value}`).join(' '),
  });
  handlePoolErrors(pool, () => undefined);
  const sent: { readonly sql: string; readonly parameters: readonly unknown[] }[] = [];
  const db = new Kysely<Schema>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => {
      sent.push(query);
    },
  });
  try {
    await run(db);
    const plans: Plan[] = [];
    for (const { sql, parameters } of sent) {
      const { rows } = await pool.query<{ 'QUERY PLAN': readonly { Plan: Plan }[] }>(
        `explain (analyze, buffers, format json) ${sql}`,
        [...parameters],
      );
      plans.push(...rows.flatMap((row) => row['QUERY PLAN'].map(({ Plan: plan }) => plan)));
    }
    return plans;
  } finally {
    await db.destroy();
  }
}

/**
 * Counts the pages that PostgreSQL reads for the statements of `run`. Unlike a duration, the count
 * does not depend on the load of the machine.
 */
export async function countBuffers(
  databaseUrl: string,
  run: (db: Db) => Promise<unknown>,
): Promise<number> {
  const plans = await explainStatements(databaseUrl, run);
  return plans.reduce(
    (sum, plan) => sum + plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
    0,
  );
}
