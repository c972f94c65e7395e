import { type Kysely, sql } from 'kysely';

/**
 * Schema `token_lifecycle` and the roles that an administrator grants to logins.
 *
 * The worker runs as `token_lifecycle_app`, which can't change or remove an audit row. A backend
 * that only enqueues gets `token_lifecycle_enqueue`, which sees no table. Roles belong to the whole
 * server, so the migration of another database may have created them.
 *
 * Where the login may not create roles, the migration goes on without them. Triggers alone then
 * guard the audit table, and `token-worker doctor` says so; the owner grants the right to enqueue
 * by hand.
 *
 * Lock: none on tables.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create schema if not exists token_lifecycle`.execute(db);
  await createApplicationRole(db);
  await createEnqueueRole(db);
}

/** Each later table gets its grants from the default privileges; the few exceptions say so. */
async function createApplicationRole(db: Kysely<unknown>): Promise<void> {
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

async function createEnqueueRole(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    begin
      if not exists (select from pg_roles where rolname = 'token_lifecycle_enqueue') then
        create role token_lifecycle_enqueue nologin;
      end if;
    exception
      when insufficient_privilege then
        raise notice 'token_lifecycle_enqueue could not be created: grant EXECUTE on token_lifecycle.enqueue by hand';
      when duplicate_object or unique_violation then
        null;
    end $$`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_enqueue') then
        grant usage on schema token_lifecycle to token_lifecycle_enqueue;
      end if;
    end $$`.execute(db);
}
