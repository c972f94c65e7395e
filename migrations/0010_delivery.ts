import { type Kysely, sql } from 'kysely';

/**
 * Events on their way to the merchant's backend. A row is thin: which tokenization, which of its versions, which state; what
 * the receiver wants to know beyond that it asks for. A replay is a row of its own with the `event_id` of the original.
 *
 * `webhook_endpoint` remembers since when an address fails and whether it was disabled; its id follows from the address, which is
 * not stored, since it may hold a secret.
 *
 * Lock: none, the tables are new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.delivery (
      id uuid primary key,
      event_id uuid not null,
      tokenization_id uuid not null references token_lifecycle.tokenization (id),
      event_type text not null,
      sequence integer not null,
      status text not null,
      attempt integer not null,
      response_status integer,
      reason text,
      due_at timestamptz,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null
    )`.execute(db);
  await sql`
    create index delivery_due on token_lifecycle.delivery (due_at) where due_at is not null`.execute(
    db,
  );
  await sql`
    create index delivery_tokenization on token_lifecycle.delivery (tokenization_id)`.execute(db);
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
