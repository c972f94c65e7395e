import { findTokenizationPage } from '../../db/tokenization-pages.ts';
import {
  tokenizationFilter,
  type TokenizationFilter,
  type TokenizationPage,
} from '../../domain/api-shapes.ts';
import { AppError } from '../../domain/errors.ts';
import { pageOf, type PageRequest } from '../../domain/paging.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { viewOf } from './view.ts';

/**
 * Tokenizations by any reference or by state, newest first. QuickPay and customer ids are looked up by their blind index
 * under every key of the ring, since neither is stored in the clear. Throws `payload_invalid` when nothing is asked for.
 */
export async function findTokenizations(
  dependencies: Pick<BackendDependencies, 'db' | 'keyring'>,
  asked: TokenizationFilter,
  { cursor: afterId, limit: size }: PageRequest,
): Promise<TokenizationPage> {
  assertBounded(asked);
  const { db, keyring } = dependencies;
  const indexesOf = (purpose: string, value: string | undefined) =>
    value === undefined ? undefined : keyring.blindIndexes(purpose, value);
  const found = await findTokenizationPage(
    db,
    {
      merchantReferenceId: asked.merchantReferenceId,
      orderReferenceId: asked.orderReferenceId,
      state: asked.state,
      quickpayIndexes: indexesOf('quickpay_id', asked.quickpayId),
      customerIndexes: indexesOf('customer', asked.customerId),
    },
    { afterId, rowsMax: size + 1 },
  );
  const { rows, nextCursor } = pageOf(found, size);
  return { items: rows.map((row) => viewOf(row, dependencies)), nextCursor };
}

/** Each of these has an index; without any, the whole table would be read. */
function assertBounded(asked: TokenizationFilter): void {
  const names = Object.keys(tokenizationFilter.shape);
  if (names.some((name) => asked[name as keyof TokenizationFilter] !== undefined)) return;
  throw new AppError('payload_invalid', 'Name at least one of paths.', { paths: names });
}
