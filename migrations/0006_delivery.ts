import { type Kysely, sql } from 'kysely';

/**
 * Events on their way to the merchant backend. A row names a tokenization, its version and its
 * state; the backend reads everything else through the API. A replay is a row of its own with the
 * `event_id` of the original.
 *
 * `held_at` is when an event was first held, because the webhook is disabled or no worker knows its
 * address. It stays set: it bounds how long an event is kept, and it keeps later events of the same
 * token behind this one. The index `delivery_held` holds only what is held now.
 *
 * Lock: none, the table is new.
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
      updated_at timestamptz not null,
      held_at timestamptz
    )`.execute(db);
  await sql`
    create index delivery_due on token_lifecycle.delivery (due_at) where due_at is not null`.execute(
    db,
  );
  await sql`
    create index delivery_tokenization on token_lifecycle.delivery (tokenization_id)`.execute(db);
  await sql`
    create index delivery_held on token_lifecycle.delivery (held_at) where state = 'held'`.execute(
    db,
  );
}
