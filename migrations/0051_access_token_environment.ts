import { type Kysely, sql } from 'kysely';

/**
 * The environment of an access token beside it, so that the due-scan finds what is due in each by an index: where the gateway of one
 * hangs, any number of its tokens are due, and those of the other must not wait behind them. Those that were never issued have an index of
 * their own, since any number of credentials may be added at once.
 *
 * Lock: `add column` with a constant default takes ACCESS EXCLUSIVE for an instant; the update and the indexes hold a small table for moments.
 * Safe while old code runs: yes; the rows it makes are looked for as those of `production` until their next attempt, and its own scan, which
 * knows no environment, reads the whole table for the time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table token_lifecycle.access_token
    add column environment text not null default 'production'`.execute(db);
  await sql`
    update token_lifecycle.access_token t set environment = c.environment
    from token_lifecycle.credential c
    where c.id = t.credential_id and c.environment <> t.environment`.execute(db);
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
  await sql`drop index token_lifecycle.access_token_due`.execute(db);
  await sql`drop index token_lifecycle.access_token_failing`.execute(db);
}
