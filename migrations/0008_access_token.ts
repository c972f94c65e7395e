import { type Kysely, sql } from 'kysely';

/**
 * One OPCard access token per credential. `generation` is the fence: only the attempt that took the
 * lease for a generation may write its pair.
 *
 * `app_key_index` says which application issued the token, so that the token of a previous app is
 * never served. `alarm_percent` is the last alarm raised for the current generation.
 * `renewing_since` is when the current renewal began, from its first intent to its next token:
 * `due_at` moves with every lease and back-off, and `failures` counts only attempts that ended, so
 * neither shows that one lease owner after another died during its call.
 *
 * `environment` repeats that of the credential and leads the indexes of the due scan. Each
 * environment is read by itself, so where one gateway hangs, its due tokens can't hide those of the
 * other. Tokens that fail and tokens that were never issued have indexes of their own, for the
 * same reason.
 *
 * Lock: none, the table is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.access_token (
      id uuid primary key,
      credential_id uuid not null unique references token_lifecycle.credential (id),
      generation integer not null,
      access_token_sealed text,
      refresh_token_sealed text,
      issued_at timestamptz,
      expires_at timestamptz,
      due_at timestamptz,
      lease_owner text,
      lease_until timestamptz,
      attempt_id uuid,
      attempt_started_at timestamptz,
      failures integer not null,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      app_key_index text,
      alarm_percent integer,
      renewing_since timestamptz,
      environment text not null default 'production'
    )`.execute(db);
  await sql`
    create index access_token_due_by_environment on token_lifecycle.access_token (environment, due_at)
    where due_at is not null and expires_at is not null and failures = 0`.execute(db);
  await sql`
    create index access_token_ending on token_lifecycle.access_token (environment, expires_at)
    where due_at is not null and failures = 0`.execute(db);
  await sql`
    create index access_token_unissued on token_lifecycle.access_token (environment, due_at)
    where due_at is not null and expires_at is null`.execute(db);
  await sql`
    create index access_token_failing_by_environment on token_lifecycle.access_token (environment, expires_at)
    where failures > 0`.execute(db);
  await sql`
    create index access_token_renewing on token_lifecycle.access_token (renewing_since)
    where renewing_since is not null`.execute(db);
}
