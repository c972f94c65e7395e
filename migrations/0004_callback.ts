import { type Kysely, sql } from 'kysely';

/**
 * The inbox: one row per distinct inbound message.
 *
 * `semantic_key` says what a message is about. `message_digest` covers every field but the push time, which changes
 * with each attempt: only a message that repeats another in all it says is a duplicate. Were the semantic key alone unique, a forger
 * who is rejected for a wrong amount would make the genuine message look like a duplicate.
 *
 * Lock: none, the table is new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_lifecycle.callback (
      id uuid primary key,
      channel text not null check (channel in ('redirect', 'notify')),
      semantic_key text not null,
      message_digest text not null,
      content_type text,
      body_sealed text not null,
      body_bytes integer not null,
      account text,
      terminal text,
      merchant_reference_id text,
      order_reference_id text,
      tokenization_id uuid,
      reason text,
      source_index text,
      seen_count integer not null,
      last_seen_at timestamptz not null,
      received_at timestamptz not null,
      due_at timestamptz,
      state text not null,
      version integer not null check (version > 0),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      unique (message_digest)
    )`.execute(db);
  await sql`
    create index callback_due on token_lifecycle.callback (due_at)
    where due_at is not null`.execute(db);
  await sql`
    create index callback_orphaned on token_lifecycle.callback (merchant_reference_id)
    where state = 'orphaned'`.execute(db);
  await sql`
    create index callback_semantic_key on token_lifecycle.callback (semantic_key)`.execute(db);
}
