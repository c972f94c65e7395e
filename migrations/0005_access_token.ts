import { type Kysely, sql } from 'kysely';

/**
 * One OPCard access token per credential. `generation` is the fence: a pair is written only by the attempt that took the
 * lease for that generation.
 *
 * Lock: none, the table is new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.access_token (
      id uuid primary key,
      credential_id uuid not null unique references token_lifecycle.credential (id),
      generation integer not null,
      access_token_sealed text,
      refresh_token_sealed text,
      candidate_sealed text,
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
      updated_at timestamptz not null
    )`.execute(db);
  await sql`
    create index access_token_due on token_lifecycle.access_token (due_at)
    where due_at is not null`.execute(db);
}
