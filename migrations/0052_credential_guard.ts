import { type Kysely, sql } from 'kysely';

/**
 * An Accept Payments credential is neither removed while tokenizations of it owe a result, nor given another account, terminal or
 * environment while one of them is not over: their calls would go elsewhere. The worker looks first and says so; this is for what is
 * committed between that look and the change, which is then left undone, like any change of a row that has moved.
 *
 * The foreign key of each new tokenization holds its credential with KEY SHARE until it is committed. FOR UPDATE waits for that, and each
 * statement of the function sees what was committed by then. New tokenizations wait for the moment in turn, and are refused by their own
 * statement, which looks at the credential under that same lock. The look goes by the indexes on state.
 *
 * Lock: a trigger takes SHARE ROW EXCLUSIVE on a small table for an instant. Safe while old code runs: yes, it takes a change that was left
 * undone for a stale one; tokenizations that it begins meanwhile may still come too late to be seen.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.guard_credential() returns trigger language plpgsql
    set search_path = pg_catalog, pg_temp as $$
    begin
      perform from token_lifecycle.credential where id = old.id for update;
      if exists (
        select from token_lifecycle.tokenization
        where credential_id = old.id and state in
          ('requested', 'submitting', 'submit_unknown', 'awaiting_customer', 'confirming', 'disabling')
      ) then
        return null;
      end if;
      if (old.account, old.terminal, old.environment)
        is distinct from (new.account, new.terminal, new.environment)
      and (exists (
        select from token_lifecycle.tokenization
        where credential_id = old.id and state = 'active'
      ) or exists (
        select from token_lifecycle.tokenization
        where credential_id = old.id and state in ('failed', 'expired') and reconcile_at is not null
      )) then
        return null;
      end if;
      return new;
    end $$`.execute(db);
  await sql`
    create trigger credential_guarded before update on token_lifecycle.credential
    for each row when (old.family = 'accept_payments' and (
      (old.account, old.terminal, old.environment)
        is distinct from (new.account, new.terminal, new.environment)
      or (old.state = 'active' and new.state = 'removed')))
    execute function token_lifecycle.guard_credential()`.execute(db);
}
