import { type Kysely, sql } from 'kysely';

/**
 * The application role, which may never change or remove an audit row.
 *
 * Lock: none on tables. Safe while old code runs: yes, it only adds a role. Roles belong to the whole database server, so
 * another database may have made it already. Where the login may not create roles the migration goes on: the
 * triggers of 0006 then stand alone, and `token-worker doctor` says so.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create schema if not exists token_lifecycle`.execute(db);
  await sql`
    do $$
    begin
      if not exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        create role token_lifecycle_app nologin;
      end if;
      if not pg_has_role(current_user, 'token_lifecycle_app', 'member') then
        execute format('grant token_lifecycle_app to %I', current_user);
      end if;
    exception
      when insufficient_privilege then
        raise notice 'token_lifecycle_app could not be created or granted; triggers alone guard the audit table';
      when duplicate_object or unique_violation then
        null;
    end $$`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        grant usage on schema token_lifecycle to token_lifecycle_app;
        grant select on all tables in schema token_lifecycle to token_lifecycle_app;
        alter default privileges in schema token_lifecycle
          grant select, insert, update on tables to token_lifecycle_app;
        alter default privileges in schema token_lifecycle
          grant usage, select on sequences to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
