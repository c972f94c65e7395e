import { type Kysely, sql } from 'kysely';

/**
 * The inbox: one row per distinct inbound message.
 *
 * `semantic_key` says what a message is about. `message_digest` covers every field except the push
 * time, which differs between attempts, so only an exact repetition counts as a duplicate. A unique
 * semantic key would let a forger, rejected for a wrong amount, turn the genuine message into a
 * duplicate. `is_believed` says whether a signature proves the sender or the message changed
 * something; it is null until the message is judged.
 *
 * `callback_due` leads with the state, so that the scan reads each state by itself and abandoned
 * orphans can't fill the limit in front of verdicts. `callback_refused`, `callback_unbelieved` and
 * `callback_expired` hold exactly the rows that retention may remove.
 *
 * Lock: none, the table is new.
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
      is_believed boolean,
      unique (message_digest)
    )`.execute(db);
  await sql`
    create index callback_due on token_lifecycle.callback (state, due_at)
    where due_at is not null`.execute(db);
  await sql`
    create index callback_semantic_key on token_lifecycle.callback (semantic_key)`.execute(db);
  await sql`
    create index callback_orphaned on token_lifecycle.callback (merchant_reference_id)
    where state = 'orphaned'`.execute(db);
  await sql`
    create index callback_orphaned_order_reference on token_lifecycle.callback (order_reference_id)
    where state = 'orphaned'`.execute(db);
  await sql`
    create index callback_refused on token_lifecycle.callback (received_at)
    where state = 'rejected' and version = 1`.execute(db);
  await sql`
    create index callback_unbelieved on token_lifecycle.callback (updated_at)
    where state in ('rejected', 'abandoned', 'accepted') and version > 1
        and not coalesce(is_believed, state = 'accepted')`.execute(db);
  await sql`
    create index callback_expired on token_lifecycle.callback (id) where state = 'expired'`.execute(
    db,
  );
}
