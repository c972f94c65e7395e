import { randomBytes } from 'node:crypto';
import pg from 'pg';

/** A merchant's backend in the database: one connection of a role that may enqueue. */
export interface Enqueuer {
  readonly client: pg.Client;
  readonly role: string;
  readonly enqueue: (job: string, payload: unknown, key?: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/**
 * Connects as a new role with `token_lifecycle_enqueue`, or without it if `isGranted` is false. The
 * role may create databases, tables and functions, and has no other right on our schema. Its name
 * is random, because all databases of the server share roles.
 */
export async function connectEnqueuer(databaseUrl: string, isGranted = true): Promise<Enqueuer> {
  const role = `tlw_test_backend_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`create role ${role} createdb`);
  if (isGranted) await client.query(`grant token_lifecycle_enqueue to ${role}`);
  await client.query(`create schema ${role} authorization ${role}`);
  await client.query(`set role ${role}`);
  return {
    client,
    role,
    async enqueue(job, payload, key) {
      const { rows } = await client.query<{ id: string }>(
        'select token_lifecycle.enqueue($1, $2::jsonb, $3) as id',
        [job, JSON.stringify(payload), key ?? null],
      );
      return rows[0]?.id ?? '';
    },
    async close() {
      await client.query('rollback');
      await client.query('reset role');
      await client.query(`drop owned by ${role} cascade`);
      await client.query(`drop role ${role}`);
      await client.end();
    },
  };
}

/** PostgreSQL's answer to a statement: SQLSTATE and message of its error, or `accepted`. */
export async function answerTo(
  run: () => Promise<unknown>,
): Promise<{ code: string | undefined; message: string }> {
  try {
    await run();
    return { code: undefined, message: 'accepted' };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return { code: error.code, message: error.message };
  }
}
