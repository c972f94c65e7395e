import type { SealedPlace } from '../security/keyring.ts';
import type { Schema } from './schema.ts';

type SealedColumn<Table extends keyof Schema> = Extract<keyof Schema[Table], `${string}_sealed`>;

/** The place that a sealed value is bound to: one `*_sealed` column of one row. */
export function sealedPlace<Table extends keyof Schema>(
  table: Table,
  column: SealedColumn<Table>,
  rowId: string,
): SealedPlace {
  return { table, column, rowId };
}
