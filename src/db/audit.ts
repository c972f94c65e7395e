import { sql } from 'kysely';
import type { Db } from './connection/database.ts';
import { type EntityType, entityTypes } from '../domain/transition.ts';
import type { AuditEventRow } from './rows.ts';

/** A contradiction between an entity's row and its audit rows. */
export interface AuditBreak {
  readonly entity_type: string;
  readonly entity_id: string;
  readonly fault:
    | 'version_differs'
    | 'version_gap'
    | 'from_differs'
    | 'state_differs'
    | 'entity_missing';
}

/**
 * Checks the audit trail of the whole database and returns every contradiction. An entity's version
 * equals its number of audit rows, their versions have no gap, each row starts in the state where
 * the row before ended, and the last row ends in the entity's state.
 *
 * Retention deletes callbacks that expired or that the public listener refused. Their audit rows
 * remain. The check compares these rows with each other, because the callback itself is gone.
 *
 * The check is one query and reads one snapshot. It sees a concurrent change completely or not at
 * all.
 */
export async function findAuditBreaks(db: Db, rowsMax = 100): Promise<readonly AuditBreak[]> {
  const entityRows = entityTypes
    .map(
      (entity) =>
        `select '${entity}' as entity_type, id as entity_id, version, state from ${entity}`,
    )
    .join(' union all ');
  const { rows } = await sql<AuditBreak>`
    with entity as (${sql.raw(entityRows)}),
    link as (
      select entity_type, entity_id, version, from_state, to_state,
        row_number() over w as position, lag(to_state) over w as previous_state
      from audit_event window w as (partition by entity_type, entity_id order by version, id)
    ), chain as (
      select entity_type, entity_id, count(*) as length,
        bool_or(version <> position) as has_gap,
        bool_or(from_state is distinct from previous_state) as has_jump,
        (array_agg(to_state order by version desc, position desc))[1] as last_state
      from link group by entity_type, entity_id
    )
    select coalesce(e.entity_type, c.entity_type) as entity_type,
      coalesce(e.entity_id, c.entity_id) as entity_id,
      case
        when e.entity_id is null then 'entity_missing'
        when c.entity_id is null or c.length <> e.version then 'version_differs'
        when c.has_gap then 'version_gap'
        when c.has_jump then 'from_differs'
        else 'state_differs'
      end as fault
    from entity e full join chain c
      on c.entity_type = e.entity_type and c.entity_id = e.entity_id
    where (e.entity_id is null and not (c.entity_type = 'callback'
        and (c.last_state = 'expired' or (c.last_state = 'rejected' and c.length = 1))))
      or c.entity_id is null or c.length <> e.version
      or c.has_gap or c.has_jump or (e.entity_id is not null and c.last_state is distinct from e.state)
    limit ${rowsMax}`.execute(db);
  return rows;
}

/** The number of audit rows. */
export async function countAuditEvents(db: Db): Promise<number> {
  const row = await db
    .selectFrom('audit_event')
    .select(sql<number>`count(*)::integer`.as('count'))
    .executeTakeFirst();
  return row?.count ?? 0;
}

/** The detail of the audit row that made this version of an entity; empty if there is none. */
export async function findAuditDetail(
  db: Db,
  entity: EntityType,
  entityId: string,
  version: number,
): Promise<AuditEventRow['detail']> {
  const row = await db
    .selectFrom('audit_event')
    .select('detail')
    .where('entity_type', '=', entity)
    .where('entity_id', '=', entityId)
    .where('version', '=', version)
    .executeTakeFirst();
  return row?.detail ?? {};
}

/**
 * The audit rows of a tokenization and of the callbacks about it, oldest first. With a page: at
 * most `rowsMax` rows after the row `afterId`, since anyone can send callbacks about a
 * tokenization.
 *
 * Each entity's rows are searched by themselves: PostgreSQL has no index for a condition that is
 * met by one entity or by a list, and reads the audit rows of all callbacks.
 */
export async function findTimeline(
  db: Db,
  tokenizationId: string,
  page?: { readonly afterId: string | undefined; readonly rowsMax: number },
): Promise<readonly AuditEventRow[]> {
  const { rows } = await sql<AuditEventRow>`
    with subject as (
      select 'tokenization' as type, ${tokenizationId}::uuid as id
      union all
      select 'callback', id from callback where tokenization_id = ${tokenizationId}
    )
    select a.* from subject
    join audit_event a on a.entity_type = subject.type and a.entity_id = subject.id
    where a.id > ${page?.afterId ?? 0} order by a.id limit ${page?.rowsMax ?? null}`.execute(db);
  return rows;
}

/** For how many months after this one the audit table has partitions. */
export const auditMonthsAhead = 3;

/** Creates the missing audit partitions of this month and the next ones; returns how many. */
export async function ensureAuditPartitions(
  db: Db,
  monthsAhead = auditMonthsAhead,
): Promise<number> {
  const { rows } = await sql<{ created: number }>`
    select token_lifecycle.ensure_audit_partitions(${monthsAhead}) as created`.execute(db);
  return rows[0]?.created ?? 0;
}

/** The names of the audit partitions of this month and later. */
export async function listAuditPartitions(db: Db): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'token_lifecycle.audit_event'::regclass
      and c.relname >= 'audit_event_' || to_char(now() at time zone 'UTC', 'YYYY_MM')
    order by c.relname`.execute(db);
  return rows.map((row) => row.name);
}

/** Whether the audit table can take rows of the current month. */
export async function hasCurrentAuditPartition(db: Db): Promise<boolean> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'token_lifecycle.audit_event'::regclass
      and c.relname = 'audit_event_' || to_char(now() at time zone 'UTC', 'YYYY_MM')`.execute(db);
  return rows.length > 0;
}

/**
 * Whether a change of this tokenization was made on the evidence of this callback. It reads only
 * the audit rows of the tokenization, which have an index.
 */
export async function isEvidenceOf(
  db: Db,
  callbackId: string,
  tokenizationId: string,
): Promise<boolean> {
  const row = await db
    .selectFrom('audit_event')
    .select('id')
    .where('entity_type', '=', 'tokenization')
    .where('entity_id', '=', tokenizationId)
    .where('evidence_id', '=', callbackId)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
