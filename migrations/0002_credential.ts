import { type Kysely, sql } from 'kysely';

/**
 * API keys of the three families. Every secret part is inside `secrets_sealed`.
 *
 * `app_key_index` is a keyed digest of an OPCard app key. Its unique index lets one active
 * credential hold an application in an environment: two would invalidate each other's access
 * tokens.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.credential (
      id uuid primary key,
      name text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
      family text not null check (family in ('accept_payments', 'opcard', 'opccount')),
      environment text not null check (environment in ('sandbox', 'production')),
      managed_by text not null default 'command' check (managed_by in ('environment', 'command')),
      account text,
      terminal text,
      secrets_sealed text not null,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      app_key_index text,
      unique (name, family)
    )`.execute(db);
  await sql`
    create unique index credential_account on token_lifecycle.credential (account, terminal)
    where family = 'accept_payments' and state = 'active'`.execute(db);
  await sql`
    create unique index credential_app_key on token_lifecycle.credential (environment, app_key_index)
    where family = 'opcard' and state = 'active'`.execute(db);
}
