import { type Kysely, sql } from 'kysely';

/**
 * Since when a webhook address fails, and whether the worker disabled it. The id is derived from
 * the address. The address itself is not stored, since it may hold a secret.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.webhook_endpoint (
      id uuid primary key,
      host text not null,
      failing_since timestamptz,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null
    )`.execute(db);
}
