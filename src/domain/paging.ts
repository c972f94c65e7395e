import { z } from 'zod';

const rowsDefault = 50;
/** The longest page. */
export const pageRowsMax = 200;

/** How many rows a page holds at most. */
export const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(pageRowsMax)
  .default(rowsDefault)
  .describe(`Rows of a page, from 1 to ${pageRowsMax}`);

/** Where the next page begins: the last id of the one before. Clients take it as they get it. */
export const cursor = z.uuid().optional().describe('`nextCursor` of the page before');

/** The same for rows whose ids are numbers. */
export const numericCursor = z
  .string()
  .regex(/^\d{1,18}$/)
  .optional()
  .describe('`nextCursor` of the page before');

/** Which page is asked for. */
export interface PageAsked {
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/**
 * A page out of one row more than fits: whether that row is there says whether another page
 * follows.
 */
export function pageOf<Row extends { readonly id: string }>(
  rows: readonly Row[],
  size: number,
): { readonly rows: readonly Row[]; readonly nextCursor: string | null } {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  return { rows: shown, nextCursor: rows.length > size && last !== undefined ? last.id : null };
}
