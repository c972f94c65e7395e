import { type Kysely, sql } from 'kysely';

/**
 * Claiming the outbox walked it by id, past every row that is put off: 64 ms a claim with 200,000 of them, several times a second. Rows
 * are now found by the instant from which they may be claimed, the later of `not_before` and the end of a lease: 0.1 ms.
 * `greatest` ignores nulls. The index costs each row about 2 microseconds when it is written.
 *
 * Lock: SHARE on outbox, which blocks writes while the index is built. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index outbox_due on token_lifecycle.outbox (greatest(not_before, lease_until), id)`.execute(
    db,
  );
}
