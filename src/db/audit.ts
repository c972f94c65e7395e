import { sql } from 'kysely';
import { type AuditBreak, checkAuditTrail } from './audit-check.ts';
import type { Db } from './connection/database.ts';
import type { EntityType } from '../domain/transition.ts';
import type { AuditEventRow } from './rows.ts';

/** The contradictions of the audit trail, at most `rowsMax`. */
export async function findAuditBreaks(db: Db, rowsMax = 100): Promise<readonly AuditBreak[]> {
  const breaks: AuditBreak[] = [];
  await checkAuditTrail(db, { onBreak: (found) => breaks.push(found) });
  return breaks.slice(0, rowsMax);
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
