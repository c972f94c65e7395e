/**
 * A statement that succeeds only where PostgreSQL takes writes. It updates no row: a read-only
 * server refuses it nevertheless, and a transaction with an id commits by writing to the disk.
 */
export function writeProbe(table: string, column: string): string {
  return `with probe as (update ${table} set ${column} = ${column} where false returning 1)
    select pg_current_xact_id(), (select count(*) from probe)`;
}
