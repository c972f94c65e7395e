import { type RawBuilder, sql } from 'kysely';

/**
 * The newest rows in any of these states. Each state is read by its own part of the index on state
 * and time, so that the query reads no more than `rowsMax` rows of each.
 *
 * @param time the column by which the index orders the rows of a state
 */
export function newestByState<Row>(
  table: 'callback' | 'delivery',
  time: 'received_at' | 'created_at',
  states: readonly string[],
  rowsMax: number,
): RawBuilder<Row> {
  return sql<Row>`
    select newest.* from unnest(${[...states]}::text[]) wanted (state)
    cross join lateral (
      select * from ${sql.table(table)} of_state where of_state.state = wanted.state
      order by ${sql.ref(time)} desc limit ${rowsMax}
    ) newest
    order by ${sql.ref(time)} desc limit ${rowsMax}`;
}
