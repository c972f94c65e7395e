import { type Kysely, sql } from 'kysely';

/**
 * The function that creates the monthly partitions of the audit table, and the first four of them.
 *
 * The worker's role owns no table, so the function is SECURITY DEFINER and pins its search_path.
 * It also pins the time zone: months are added in the zone of the session, and 28 February in New
 * York plus one month is no first of a month. TRUNCATE of a partition fires only the trigger of
 * that partition, so each partition gets its own.
 *
 * Lock: none, audit_event is new.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function token_lifecycle.ensure_audit_partitions(months_ahead integer) returns integer
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
    declare
      first_day timestamptz;
      partition_name text;
      created integer := 0;
    begin
      perform pg_advisory_xact_lock(hashtextextended('token_lifecycle.ensure_audit_partitions', 0));
      for month_offset in 0..least(greatest(months_ahead, 0), 24) loop
        first_day := date_trunc('month', now()) + make_interval(months => month_offset);
        partition_name := 'audit_event_' || to_char(first_day, 'YYYY_MM');
        if to_regclass('token_lifecycle.' || partition_name) is null then
          execute format(
            'create table token_lifecycle.%I partition of token_lifecycle.audit_event for values from (%L) to (%L)',
            partition_name, first_day, first_day + interval '1 month');
          execute format(
            'create trigger audit_event_no_truncate before truncate on token_lifecycle.%I '
            'for each statement execute function token_lifecycle.refuse_audit_change()',
            partition_name);
          if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
            execute format('revoke all on token_lifecycle.%I from token_lifecycle_app', partition_name);
            execute format('grant select on token_lifecycle.%I to token_lifecycle_app', partition_name);
          end if;
          created := created + 1;
        end if;
      end loop;
      return created;
    end $$`.execute(db);
  await sql`
    revoke all on function token_lifecycle.ensure_audit_partitions(integer) from public`.execute(
    db,
  );
  await sql`select token_lifecycle.ensure_audit_partitions(3)`.execute(db);
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        grant execute on function token_lifecycle.ensure_audit_partitions(integer) to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
