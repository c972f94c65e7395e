import { sql } from 'kysely';
import { entityTypes } from '../domain/transition.ts';
import type { Db } from './connection/database.ts';

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

/** What a check of the audit trail reports, and how much it reads at a time. */
export interface AuditCheckOptions {
  readonly onBreak?: (found: AuditBreak) => void;
  /** Called after each slice with the share of the trail that is checked, up to 1. */
  readonly onProgress?: (share: number) => void;
  /** Audit rows in one slice. Its rows are sorted in memory. */
  readonly sliceRows?: number;
}

/** So few that PostgreSQL sorts them in the memory that it gives a statement by default. */
const sliceRowsDefault = 20_000;

/**
 * Checks the audit trail of the whole database. An entity's version equals its number of audit
 * rows, their versions have no gap, each row starts in the state where the row before ended, and
 * the last row ends in the entity's state.
 *
 * Retention deletes callbacks that expired or that the public listener refused. Their audit rows
 * remain. The check compares these rows with each other, because the callback itself is gone.
 *
 * The check goes through the ids of all entities slice by slice, so that no statement runs long or
 * needs much memory, however large the trail is. Ids are random: slices of equal width hold about
 * as many rows. One statement reads an entity and its audit rows, so it sees a concurrent change
 * completely or not at all, and no transaction stays open. Returns the number of audit rows.
 */
export async function checkAuditTrail(db: Db, options: AuditCheckOptions = {}): Promise<number> {
  const { onBreak, onProgress, sliceRows = sliceRowsDefault } = options;
  const { rows: counts } = await sql<{ type: string; rows: number }>`
    select entity_type as type, count(*)::double precision as rows
    from audit_event group by entity_type`.execute(db);
  const rowCount = counts.reduce((sum, { rows }) => sum + rows, 0);
  // A row of a type that no entity has is a contradiction too.
  const types = [...new Set([...entityTypes, ...counts.map(({ type }) => type)])];
  const slices = Math.max(1, Math.ceil(rowCount / sliceRows));
  for (let slice = 0; slice < slices; slice += 1) {
    const ids = { first: uuidAt(slice, slices), last: uuidAt(slice + 1, slices, -1n) };
    for (const found of await findBreaksWithin(db, types, ids)) onBreak?.(found);
    onProgress?.((slice + 1) / slices);
  }
  return rowCount;
}

/** The id at this share of all ids, as PostgreSQL orders them. */
function uuidAt(slice: number, slices: number, offset = 0n): string {
  const position = ((1n << 128n) * BigInt(slice)) / BigInt(slices) + offset;
  return position.toString(16).padStart(32, '0');
}

async function findBreaksWithin(
  db: Db,
  types: readonly string[],
  { first, last }: { readonly first: string; readonly last: string },
): Promise<readonly AuditBreak[]> {
  const entityRows = entityTypes
    .map(
      (entity) =>
        `select '${entity}' as entity_type, id as entity_id, version, state from ${entity}
         where id between '${first}' and '${last}'`,
    )
    .join(' union all ');
  const { rows } = await sql<AuditBreak>`
    with entity as (${sql.raw(entityRows)}),
    link as (
      select entity_type, entity_id, version, from_state, to_state, row_number() over w as position,
        lag(to_state) over w as previous_state, lead(version) over w is null as is_last
      from audit_event
      where entity_type = any(${[...types]}::text[])
        and entity_id between ${sql.lit(first)} and ${sql.lit(last)}
      window w as (partition by entity_id, entity_type order by version, id)
    ), chain as (
      select entity_type, entity_id, count(*) as length,
        bool_or(version <> position) as has_gap,
        bool_or(from_state is distinct from previous_state) as has_jump,
        max(to_state) filter (where is_last) as last_state
      from link group by entity_id, entity_type
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
      on c.entity_id = e.entity_id and c.entity_type = e.entity_type
    where (e.entity_id is null and not (c.entity_type = 'callback'
        and (c.last_state = 'expired' or (c.last_state = 'rejected' and c.length = 1))))
      or c.entity_id is null or c.length <> e.version
      or c.has_gap or c.has_jump
      or (e.entity_id is not null and c.last_state is distinct from e.state)`.execute(db);
  return rows;
}
