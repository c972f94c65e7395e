import { findTokenizationPage } from '../../db/tokenization-pages.ts';
import {
  tokenizationFilter,
  type TokenizationFilter,
  type TokenizationPage,
} from '../../domain/payload/api-shapes.ts';
import { AppError } from '../../domain/errors.ts';
import { pageOf, type PageRequest } from '../../domain/paging.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { viewOf } from './view.ts';

/**
 * Finds tokenizations by any reference or by state, newest first. QuickPay and customer ids are
 * stored as blind indexes, so they are looked up under every key of the ring. Throws
 * `payload_invalid` when the filter names no field.
 */
export async function findTokenizations(
  dependencies: Pick<BackendDependencies, 'db' | 'keyring'>,
  filter: TokenizationFilter,
  { cursor: afterId, limit: size }: PageRequest,
): Promise<TokenizationPage> {
  assertNamesAField(filter);
  const { db, keyring } = dependencies;
  const indexesOf = (purpose: string, value: string | undefined) =>
    value === undefined ? undefined : keyring.blindIndexes(purpose, value);
  const found = await findTokenizationPage(
    db,
    {
      merchantReferenceId: filter.merchantReferenceId,
      orderReferenceId: filter.orderReferenceId,
      state: filter.state,
      quickpayIndexes: indexesOf('quickpay_id', filter.quickpayId),
      customerIndexes: indexesOf('customer', filter.customerId),
    },
    { afterId, rowsMax: size + 1 },
  );
  const { rows, nextCursor } = pageOf(found, size);
  return { items: rows.map((row) => viewOf(row, dependencies)), nextCursor };
}

/** Each field has an index; a filter without one would read the whole table. */
function assertNamesAField(filter: TokenizationFilter): void {
  const names = Object.keys(tokenizationFilter.shape);
  if (names.some((name) => filter[name as keyof TokenizationFilter] !== undefined)) return;
  throw new AppError(
    'payload_invalid',
    'The filter names no field. Name at least one of the fields in paths.',
    {
      paths: names,
    },
  );
}
