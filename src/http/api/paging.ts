import { z } from 'zod';

const rowsDefault = 50;
const rowsMax = 200;

/** How many rows a page holds at most. */
export const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(rowsMax)
  .default(rowsDefault)
  .describe(`Rows of a page, from 1 to ${rowsMax}`);

/** Where the next page begins: the last id of the one before. Clients take it as they get it. */
export const cursor = z.uuid().optional().describe('`nextCursor` of the page before');

/** A page out of one row more than fits: whether that row is there says whether another page follows. */
export function pageOf<Row extends { readonly id: string }>(
  rows: readonly Row[],
  size: number,
): { readonly rows: readonly Row[]; readonly nextCursor: string | null } {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  return { rows: shown, nextCursor: rows.length > size && last !== undefined ? last.id : null };
}
