import { type Kysely, sql } from 'kysely';

/**
 * Refuses two changes of an Accept Payments credential that would send later calls to the wrong
 * place: its removal while one of its tokenizations still owes a result, and a new account,
 * terminal or environment while one of them is not over. The worker checks first and says why; this
 * trigger covers what is committed between that check and the change. The change is then skipped,
 * which the worker reads as a stale version.
 *
 * A new tokenization holds its credential with FOR KEY SHARE, through the foreign key, until it
 * commits. FOR UPDATE waits for that, and each statement of the function sees what was committed by
 * then. Tokenizations that begin later wait in turn, and their own statement refuses them, since it
 * reads the credential under the same lock. The function searches by the indexes on state.
 *
 * Lock: none, credential is new.
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
