import { z } from 'zod';

const rowsDefault = 50;
/** The largest page. */
export const pageRowsMax = 200;

const limit = z.coerce
  .number()
  .int()
  .min(1)
  .max(pageRowsMax)
  .default(rowsDefault)
  .describe(`Rows of the page, from 1 to ${pageRowsMax}; default ${rowsDefault}.`);

/** The parameters of a page whose rows have UUIDs. */
export const pageParameters = {
  cursor: z.uuid().optional().describe('`nextCursor` of the previous page.'),
  limit,
} as const;

/** The parameters of a page whose rows have numeric ids. */
export const numericPageParameters = {
  cursor: z
    .string()
    .regex(/^\d{1,18}$/)
    .optional()
    .describe('`nextCursor` of the previous page.'),
  limit,
} as const;

/** A parsed request for a page. */
export interface PageRequest {
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** Cuts a page out of rows, of which there is one more than the page holds if a page follows. */
export function pageOf<Row extends { readonly id: string }>(
  rows: readonly Row[],
  size: number,
): { readonly rows: readonly Row[]; readonly nextCursor: string | null } {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  return { rows: shown, nextCursor: rows.length > size && last !== undefined ? last.id : null };
}
