import { sql } from 'kysely';
import type { EntityType } from '../domain/transition.ts';
import type { Db } from './connection/database.ts';
import { entities } from './entities.ts';

/** A checked transition in the form that the statement takes. */
export interface PreparedTransition {
  readonly entity: EntityType;
  readonly id: string;
  /** 0 creates the row. */
  readonly expectedVersion: number;
  readonly event: string;
  readonly from: string | null;
  readonly to: string;
  /** Columns to set; `<column>_in_ms` sets an instant relative to the database's clock. */
  readonly patch: Readonly<Record<string, unknown>>;
  /** The columns of the audit row that describe the cause of the change. */
  readonly audit: Readonly<Record<string, unknown>>;
  /** Rows of `delivery` that announce this change to the merchant's backend: `{id, event_type}`. */
  readonly deliveries: readonly Readonly<Record<string, unknown>>[];
  /** Outbox rows: `{queue, job_name, job_id, payload, delay_ms}`. */
  readonly jobs: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Commits transitions of one entity type, at most one per entity, in one statement:
 * compare-and-set, audit rows and outbox rows, all or nothing. Resolves to the ids that changed;
 * the others were stale.
 *
 * The rows are one JSON parameter, so the statement's text is the same for every batch size and
 * PostgreSQL plans it once per connection. `jsonb_populate_record(t, patch)` starts from the
 * present row, so columns that a patch leaves out keep their value.
 */
export async function commitTransitions(
  db: Db,
  entity: EntityType,
  kind: 'create' | 'change',
  batch: readonly PreparedTransition[],
): Promise<ReadonlySet<string>> {
  const rows = JSON.stringify(
    batch.map(({ id, expectedVersion, event, from, to, patch, audit, deliveries, jobs }) => ({
      id,
      expected_version: expectedVersion,
      event,
      from_state: from,
      to_state: to,
      patch,
      audit,
      deliveries,
      jobs,
    })),
  );
  const written = kind === 'create' ? insertRows(entity) : updateRows(entity);
  const announced = batch.some(({ deliveries }) => deliveries.length > 0) ? insertDeliveries : '';
  const result = await sql<{ id: string }>`
    with input as materialized (
      select * from jsonb_to_recordset(${rows}::jsonb) as i(id uuid, expected_version integer, event text,
        from_state text, to_state text, patch jsonb, audit jsonb, deliveries jsonb, jobs jsonb)
    ), written as (${sql.raw(written)}), audited as (
      insert into audit_event (entity_type, entity_id, version, event, from_state, to_state, actor_type, actor_id,
        queue, job_id, attempt, channel, evidence_id, evidence_digest, reason, gateway_code, trace_id,
        detail)
      select ${entity}, i.id, w.version, i.event, i.from_state, i.to_state, a.actor_type, a.actor_id,
        a.queue, a.job_id, a.attempt, a.channel, a.evidence_id, a.evidence_digest, a.reason, a.gateway_code, a.trace_id,
        a.detail
      from written w join input i on i.id = w.id
      cross join lateral jsonb_populate_record(null::audit_event, i.audit) a
    ), queued as (
      insert into outbox (queue, job_name, job_id, payload, not_before)
      select o.queue, o.job_name, o.job_id, o.payload, clock_timestamp() + o.delay_ms * interval '1 millisecond'
      from written w join input i on i.id = w.id
      cross join lateral jsonb_to_recordset(i.jobs)
        as o(queue text, job_name text, job_id text, payload jsonb, delay_ms bigint)
    )${sql.raw(announced)}
    select id from written`.execute(db);
  return new Set(result.rows.map((row) => row.id));
}

/**
 * Inserts the deliveries of a batch with their first audit rows. A batch without deliveries leaves
 * this part out, since it costs time. Within the first ten seconds the scan leaves a delivery to
 * the job that the same commit wrote.
 */
const insertDeliveries = `, announced as (
      insert into delivery (id, event_id, tokenization_id, event_type, sequence, status, attempt, due_at,
        state, version, created_at, updated_at)
      select d.id, d.id, i.id, d.event_type, w.version, i.to_state, 0, clock_timestamp() + interval '10 seconds',
        'pending', 1, clock_timestamp(), clock_timestamp()
      from written w join input i on i.id = w.id
      cross join lateral jsonb_to_recordset(i.deliveries) as d(id uuid, event_type text)
    ), announced_audit as (
      insert into audit_event (entity_type, entity_id, version, event, to_state, actor_type, actor_id,
        queue, job_id, attempt, trace_id, detail)
      select 'delivery', d.id, 1, 'delivery.created', 'pending', a.actor_type, a.actor_id,
        a.queue, a.job_id, a.attempt, a.trace_id, jsonb_build_object('eventType', d.event_type)
      from written w join input i on i.id = w.id
      cross join lateral jsonb_populate_record(null::audit_event, i.audit) a
      cross join lateral jsonb_to_recordset(i.deliveries) as d(id uuid, event_type text)
    )`;

/**
 * Inserts new entities. It skips a row that breaks a unique index or has lost its required parent,
 * so that the row does not fail the batch. The caller of a skipped row gets a stale outcome.
 */
function insertRows(entity: EntityType): string {
  const { columns, defaults, requiredParent } = entities[entity];
  const base = `'${JSON.stringify(defaults)}'::jsonb`;
  return `
    insert into ${entity} (id, state, version, created_at, updated_at, ${columns.join(', ')})
    select i.id, i.to_state, 1, clock_timestamp(), clock_timestamp(), ${patchedColumns(entity)}
    from input i cross join lateral jsonb_populate_record(null::${entity}, ${base} || i.patch) p
    ${requiredParent?.join ?? ''} ${requiredParent?.lock ?? ''}
    on conflict do nothing
    returning id, version`;
}

function updateRows(entity: EntityType): string {
  const { columns } = entities[entity];
  return `
    update ${entity} t
    set (state, version, updated_at, ${columns.join(', ')}) = (
      select i.to_state, t.version + 1, clock_timestamp(), ${patchedColumns(entity)}
      from jsonb_populate_record(t, i.patch) p)
    from input i
    where t.id = i.id and t.version = i.expected_version and t.state = i.from_state
    returning t.id, t.version`;
}

function patchedColumns(entity: EntityType): string {
  const { columns, clockColumns } = entities[entity];
  return columns
    .map((column) =>
      clockColumns.includes(column)
        ? `coalesce(clock_timestamp() + (i.patch ->> '${column}_in_ms')::bigint * interval '1 millisecond', p.${column})`
        : `p.${column}`,
    )
    .join(', ');
}
