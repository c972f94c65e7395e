import { type Kysely, sql } from 'kysely';

/**
 * API keys of the three families; every secret part is inside `secrets_sealed`.
 *
 * Lock: none, the table is new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.credential (
      id uuid primary key,
      name text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
      family text not null check (family in ('accept_payments', 'opcard', 'opccount')),
      environment text not null check (environment in ('sandbox', 'production')),
      account text,
      terminal text,
      secrets_sealed text not null,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      unique (name, family)
    )`.execute(db);
  await sql`
    create unique index credential_account on token_lifecycle.credential (account, terminal)
    where family = 'accept_payments' and state = 'active'`.execute(db);
}
