import { type Kysely, sql } from 'kysely';

/**
 * Keys of the HTTP API that an operator adds and revokes while the worker runs. Only the SHA-256 of
 * a key is stored: a key has 32 random bytes, so its digest can't be reversed by guessing.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.api_key (
      id uuid primary key,
      name text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,31}$'),
      key_sha256 text not null unique check (key_sha256 ~ '^[0-9a-f]{64}$'),
      scopes jsonb not null,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null
    )`.execute(db);
}
