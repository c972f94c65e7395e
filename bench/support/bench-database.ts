import { randomBytes } from 'node:crypto';
import { startEmbeddedPostgres } from '../../src/db/connection/embedded-postgres.ts';
import { withClient } from '../../src/db/connection/database.ts';

/** Creates a database for one run, in `BENCH_DATABASE_URL` or on an embedded PostgreSQL. */
export async function benchDatabase(): Promise<{ url: string; close: () => Promise<void> }> {
  const configured = process.env['BENCH_DATABASE_URL'];
  if (configured === undefined) return await startEmbeddedPostgres();
  const name = `token_lifecycle_bench_${randomBytes(4).toString('hex')}`;
  await withClient(configured, async (client) => await client.query(`create database ${name}`));
  const url = new URL(configured);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    close: async () => {
      await withClient(
        configured,
        async (client) => await client.query(`drop database ${name} with (force)`),
      );
    },
  };
}
