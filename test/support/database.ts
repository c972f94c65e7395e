import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

/** A migrated database of one test's own. */
export interface TestDatabase {
  readonly url: string;
  readonly drop: () => Promise<void>;
}

const attemptsMax = 20;
const retryAfterMs = 100;

/** Clones the run's migrated template. Throws what PostgreSQL says when it cannot. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const adminUrl = inject('adminUrl');
  const templateName = inject('templateName');
  const name = `${templateName}_${randomBytes(4).toString('hex')}`;
  await onServer(adminUrl, async (client) => {
    // One clone at a time: PostgreSQL refuses to copy a database that somebody else is copying.
    await client.query('select pg_advisory_lock(420042)');
    await whileInUse(async () => {
      await client.query(`create database ${name} template ${templateName}`);
    });
    // No test pulls the plug of the machine, so none has to wait for its disk.
    await client.query(`alter database ${name} set synchronous_commit = off`);
  });
  return {
    url: urlOf(adminUrl, name),
    drop: async () => {
      await onServer(adminUrl, async (client) => {
        await client.query(`drop database if exists ${name} with (force)`);
      });
    },
  };
}

/** Runs something on a connection of its own. */
export async function onServer(
  url: string,
  use: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

/** The same server, another database. */
export function urlOf(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Ends every connection to the database and refuses new ones, as a server that restarts does. */
export async function setAway(databaseUrl: string, isAway: boolean): Promise<void> {
  const name = new URL(databaseUrl).pathname.slice(1);
  await onServer(urlOf(databaseUrl, 'postgres'), async (client) => {
    await client.query(`alter database ${name} allow_connections ${String(!isAway)}`);
    if (isAway) {
      await client.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
        [name],
      );
    }
  });
}

/** Tries again while PostgreSQL calls the template in use (55006): autovacuum and closing connections count as users. */
async function whileInUse(create: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await create();
      return;
    } catch (error) {
      const isInUse = error instanceof pg.DatabaseError && error.code === '55006';
      if (!isInUse || attempt === attemptsMax) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }
}
