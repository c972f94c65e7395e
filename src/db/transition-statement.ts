import { CompiledQuery } from 'kysely';
import type { OutboxJob } from '../domain/outbox-job.ts';
import type { EntityType } from '../domain/transition.ts';
import type { Db } from './connection/database.ts';
import { prepared } from './connection/prepared-statements.ts';
import { entities } from './entities.ts';

/** Columns by their SQL names. */
type Columns = Readonly<Record<string, unknown>>;

/** The checked changes of one entity that commit together, in the form that the statement takes. */
export interface PreparedTransition {
  readonly entity: EntityType;
  readonly id: string;
  readonly events: readonly string[];
  /** 0 creates the row. */
  readonly expectedVersion: number;
  /** The state before the first change; null for a new row. */
  readonly from: string | null;
  /** The state after the last change. */
  readonly to: string;
  /** The version after the last change. */
  readonly version: number;
  /** Columns to set; `<column>_in_ms` sets an instant relative to the database's clock. */
  readonly patch: Columns;
  /** One audit row per change, and one per delivery. */
  readonly auditRows: readonly Columns[];
  /** Rows of `delivery` that announce a change to the merchant's backend. */
  readonly deliveries: readonly Columns[];
  /** Outbox rows; `delay_ms` is the time from now until the relay may move the job. */
  readonly jobs: readonly Columns[];
  /** Jobs that go to their queues after the commit, without an outbox row. */
  readonly handedOver: readonly OutboxJob[];
}

/** A row that changed, and the instant of its change on the database's clock. */
export interface WrittenRow {
  readonly id: string;
  readonly updated_at: Date;
}

/**
 * Commits changes of one entity type, one row of it at most once, in one statement:
 * compare-and-set, audit rows and outbox rows, all or nothing. Resolves to the rows that changed;
 * the others were stale.
 *
 * Rows are passed as JSON parameters, so that the statement's text is the same for every batch
 * size, and PostgreSQL prepares it once per connection.
 */
export async function commitTransitions(
  db: Db,
  entity: EntityType,
  kind: 'create' | 'change',
  batch: readonly PreparedTransition[],
): Promise<readonly WrittenRow[]> {
  const ownedRows = (rowsOf: (change: PreparedTransition) => readonly Columns[]): Columns[] =>
    batch.flatMap((change) => rowsOf(change).map((row) => ({ owner_id: change.id, ...row })));
  const jobs = ownedRows((change) => change.jobs);
  const deliveries = ownedRows((change) => change.deliveries);
  const parameters = [
    batch.map(kind === 'create' ? newRowOf : changeOf),
    ownedRows((change) => change.auditRows),
    ...(jobs.length > 0 ? [jobs] : []),
    ...(deliveries.length > 0 ? [deliveries] : []),
  ];
  const statement = statementOf(entity, kind, jobs.length > 0, deliveries.length > 0);
  const { rows } = await db.executeQuery<WrittenRow>(
    CompiledQuery.raw(
      statement,
      parameters.map((rowsOfTable) => JSON.stringify(rowsOfTable)),
    ),
  );
  return rows;
}

function newRowOf({ entity, id, to, version, patch }: PreparedTransition): Columns {
  return { ...entities[entity].defaults, ...patch, id, state: to, version };
}

function changeOf({ id, expectedVersion, from, to, version, patch }: PreparedTransition): Columns {
  return { id, expected_version: expectedVersion, from_state: from, to_state: to, version, patch };
}

const statements = new Map<string, string>();

/** A batch without jobs or deliveries leaves out their part, since it costs time. */
function statementOf(
  entity: EntityType,
  kind: 'create' | 'change',
  hasJobs: boolean,
  hasDeliveries: boolean,
): string {
  const key = `${entity} ${kind} ${hasJobs} ${hasDeliveries}`;
  const known = statements.get(key);
  if (known !== undefined) return known;
  const parts = [
    `written as (${kind === 'create' ? insertRows(entity) : updateRows(entity)})`,
    ...(hasDeliveries ? [`announced as (${insertDeliveries(hasJobs ? 4 : 3)})`] : []),
    `audited as (${insertAuditRows})`,
    ...(hasJobs ? [`queued as (${insertJobs})`] : []),
  ];
  const text = prepared(`with ${parts.join(',\n')}\nselect id, updated_at from written`);
  statements.set(key, text);
  return text;
}

/** In the order of versions, so that the ids of an entity's audit rows ascend with them. */
const insertAuditRows = `
  insert into audit_event (entity_type, entity_id, version, event, from_state, to_state,
    actor_type, actor_id, queue, job_id, attempt, channel, evidence_id, evidence_digest, reason,
    gateway_code, trace_id, detail)
  select entity_type, entity_id, version, event, from_state, to_state,
    actor_type, actor_id, queue, job_id, attempt, channel, evidence_id, evidence_digest, reason,
    gateway_code, trace_id, detail
  from jsonb_to_recordset($2) as a(owner_id uuid, entity_type text, entity_id uuid, version integer,
    event text, from_state text, to_state text, actor_type text, actor_id text, queue text,
    job_id text, attempt integer, channel text, evidence_id uuid, evidence_digest text, reason text,
    gateway_code text, trace_id text, detail jsonb)
  where owner_id in (select id from written)
  order by a.version`;

const insertJobs = `
  insert into outbox (queue, job_name, job_id, payload, not_before)
  select queue, job_name, job_id, payload,
    clock_timestamp() + delay_ms * interval '1 millisecond'
  from jsonb_to_recordset($3) as j(owner_id uuid, queue text, job_name text, job_id text,
    payload jsonb, delay_ms bigint)
  where owner_id in (select id from written)`;

/**
 * Within the first ten seconds the scan leaves a delivery to the job of its commit.
 */
function insertDeliveries(parameter: number): string {
  return `
  insert into delivery (id, event_id, tokenization_id, event_type, sequence, status, attempt,
    due_at, state, version, created_at, updated_at)
  select id, id, owner_id, event_type, sequence, status, 0,
    clock_timestamp() + interval '10 seconds', 'pending', 1, clock_timestamp(), clock_timestamp()
  from jsonb_to_recordset($${parameter}) as d(owner_id uuid, id uuid, event_type text,
    sequence integer, status text)
  where owner_id in (select id from written)`;
}

/**
 * Inserts new entities. It skips a row that breaks a unique index or has lost its required parent,
 * so that the row does not fail the batch. The caller of a skipped row gets a stale outcome.
 */
function insertRows(entity: EntityType): string {
  const { columns, clockColumns, requiredParent } = entities[entity];
  const typedRows = `jsonb_populate_recordset(null::${entity}, $1)`;
  const waits = clockColumns.map((column) => `${column}_in_ms bigint`).join(', ');
  const source =
    waits === ''
      ? `${typedRows} p`
      : `rows from (${typedRows}, jsonb_to_recordset($1) as (${waits})) p`;
  const values = columns.map((column) =>
    clockColumns.includes(column) ? instant(column, `p.${column}_in_ms`) : `p.${column}`,
  );
  return `
  insert into ${entity} (id, state, version, created_at, updated_at, ${columns.join(', ')})
  select p.id, p.state, p.version, clock_timestamp(), clock_timestamp(), ${values.join(', ')}
  from ${source}
  ${requiredParent?.join ?? ''} ${requiredParent?.lock ?? ''}
  on conflict do nothing
  returning id, updated_at`;
}

/**
 * Changes rows. `jsonb_populate_record(t, patch)` starts from the current row, so columns that a
 * patch leaves out keep their value.
 */
function updateRows(entity: EntityType): string {
  const { columns, clockColumns } = entities[entity];
  const values = columns.map((column) =>
    clockColumns.includes(column)
      ? instant(column, `(i.patch ->> '${column}_in_ms')::bigint`)
      : `p.${column}`,
  );
  return `
  update ${entity} t
  set (state, version, updated_at, ${columns.join(', ')}) = (
    select i.to_state, i.version, clock_timestamp(), ${values.join(', ')}
    from jsonb_populate_record(t, i.patch) p)
  from jsonb_to_recordset($1) as i(id uuid, expected_version integer, from_state text,
    to_state text, version integer, patch jsonb)
  where t.id = i.id and t.version = i.expected_version and t.state = i.from_state
  returning t.id, t.updated_at`;
}

function instant(column: string, waitMs: string): string {
  return `coalesce(clock_timestamp() + ${waitMs} * interval '1 millisecond', p.${column})`;
}
