import { type Kysely, sql } from 'kysely';

/**
 * The audit table: one row per version of an entity, append-only, range-partitioned by month.
 *
 * Two mechanisms keep it append-only. The application role has no grant to change rows, and
 * triggers refuse UPDATE, DELETE and TRUNCATE for every role, the owner included.
 *
 * There is no DEFAULT partition: it would hide a missing month and prevent DETACH CONCURRENTLY.
 * (entity, version) needs no unique index here: the compare-and-set on the entity's row decides it.
 *
 * Lock: none, the table is new.
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
      detail jsonb not null
    ) partition by range (occurred_at)`.execute(db);
  await sql`
    create index audit_event_entity
    on token_lifecycle.audit_event (entity_type, entity_id, version)`.execute(db);
  await sql`
    create index audit_event_occurred_at
    on token_lifecycle.audit_event using brin (occurred_at)`.execute(db);
  await refuseChanges(db);
}

async function refuseChanges(db: Kysely<unknown>): Promise<void> {
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
  await sql`
    do $$
    begin
      if exists (select from pg_roles where rolname = 'token_lifecycle_app') then
        revoke all on token_lifecycle.audit_event from token_lifecycle_app;
        grant select, insert on token_lifecycle.audit_event to token_lifecycle_app;
        grant usage on sequence token_lifecycle.audit_event_id_seq to token_lifecycle_app;
      end if;
    end $$`.execute(db);
}
