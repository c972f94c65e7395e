import { type Kysely, sql } from 'kysely';

/**
 * Events that can't be sent for now, because the webhook is disabled or no worker knows its address, are held and sent later. `held_at` is
 * when that began, and stays: it bounds how long an event is kept, and keeps later events of its token behind it. The index holds
 * what is held and nothing else.
 *
 * Lock: ACCESS EXCLUSIVE on delivery for the column, then SHARE while the index is built. Safe while old code runs: yes; it leaves held
 * events alone, and goes on giving up others while the webhook is disabled.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table token_lifecycle.delivery add column held_at timestamptz`.execute(db);
  await sql`
    create index delivery_held on token_lifecycle.delivery (held_at) where state = 'held'`.execute(
    db,
  );
}
