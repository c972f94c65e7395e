import { type Kysely, sql } from 'kysely';

/**
 * The audit table: one row per version of an entity, range-partitioned by month, append-only.
 *
 * Rows are kept append-only twice: the application role has no grant to change them, and triggers refuse UPDATE,
 * DELETE and TRUNCATE whoever asks. TRUNCATE of a partition fires that partition's own trigger only, so each gets one.
 * There is no DEFAULT partition: it would hide a missing month and block detaching one concurrently.
 * (entity, version) needs no unique index here: the compare-and-set on the entity's row decides it.
 *
 * Lock: none, the table is new. Safe while old code runs: yes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create sequence token_lifecycle.audit_event_id_seq as bigint`.execute(db);
  await sql`
    create table token_lifecycle.audit_event (
      id bigint not null default nextval('token_lifecycle.audit_event_id_seq'),
      occurred_at timestamptz not null default clock_timestamp(),
      transaction_id xid8 not null default pg_current_xact_id(),
      entity_type text not null,
      entity_id uuid not null,
      version integer not null,
      event text not null,
      from_state text,
      to_state text not null,
      actor_type text not null,
      actor_id text not null,
      queue text,
      job_id text,
      attempt integer,
      channel text,
      evidence_id uuid,
      evidence_digest text,
      reason text,
      gateway_code text,
      trace_id text,
      policy_version integer not null,
      detail jsonb not null
    ) partition by range (occurred_at)`.execute(db);
  await sql`
    create index audit_event_entity
    on token_lifecycle.audit_event (entity_type, entity_id, version)`.execute(db);
  await sql`
    create index audit_event_occurred_at
    on token_lifecycle.audit_event using brin (occurred_at)`.execute(db);
  await sql`
    create function token_lifecycle.refuse_audit_change() returns trigger language plpgsql as $$
    begin
      raise exception 'audit_event is append-only' using errcode = 'insufficient_privilege';
    end $$`.execute(db);
  await sql`
    create trigger audit_event_append_only before update or delete on token_lifecycle.audit_event
    for each row execute function token_lifecycle.refuse_audit_change()`.execute(db);
  await sql`
    create trigger audit_event_no_truncate before truncate on token_lifecycle.audit_event
    for each statement execute function token_lifecycle.refuse_audit_change()`.execute(db);
  await createPartitionFunction(db);
  await sql`select token_lifecycle.ensure_audit_partitions(3)`.execute(db);
  await grantAppendOnly(db);
}

/**
 * SECURITY DEFINER, since the worker's role owns nothing, with a pinned search_path, since definers must, and a pinned time
 * zone: months are added in the session's zone, and 28 February in New York plus a month is no first of the month.
 */
async function createPartitionFunction(db: Kysely<unknown>): Promise<void> {
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
}

async function grantAppendOnly(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        revoke all on token_lifecycle.audit_event from token_lifecycle_app;
        grant select, insert on token_lifecycle.audit_event to token_lifecycle_app;
        grant usage on sequence token_lifecycle.audit_event_id_seq to token_lifecycle_app;
        grant execute on function token_lifecycle.ensure_audit_partitions(integer) to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
