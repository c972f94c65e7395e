import { z } from 'zod';
import { findTokenizationPage } from '../../../db/tokenization-pages.ts';
import {
  tokenizationFilter,
  type TokenizationFilter,
  type TokenizationPage,
  tokenizationPage,
} from '../../../domain/api-shapes.ts';
import { AppError } from '../../../domain/errors.ts';
import { type ApiDependencies, apiRoute } from '../../api/api-route.ts';
import { cursor, limit, pageOf } from '../../api/paging.ts';
import { viewOf } from '../../api/tokenization-view.ts';
import { waitForProgress, waitParameters } from '../../api/waiting.ts';

const query = z.strictObject({ ...tokenizationFilter.shape, cursor, limit, ...waitParameters });
type Query = z.output<typeof query>;

/**
 * `GET /v1/tokenizations`: by any reference or by state, newest first. QuickPay and customer ids are looked up by their blind
 * index under every key of the ring, since neither is stored in the clear.
 */
export const findTokenizations = apiRoute({
  operationId: 'findTokenizations',
  method: 'GET',
  path: '/tokenizations',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'Find tokenizations',
  description:
    'Name at least one of the references, or a state; all that is named has to fit. `wait` works where exactly one is found.',
  query,
  status: 200,
  answer: tokenizationPage,
  problems: ['wait_capacity_reached'],
  async handle({ query: asked, signal }, dependencies) {
    assertBounded(asked);
    const page = await findPage(asked, dependencies);
    const [only, ...others] = page.items;
    if (only === undefined || others.length > 0) return page;
    const isChanged = await waitForProgress(only, asked, dependencies, signal);
    return isChanged ? await findPage(asked, dependencies) : page;
  },
});

async function findPage(asked: Query, dependencies: ApiDependencies): Promise<TokenizationPage> {
  const { db, keyring } = dependencies;
  const { quickpayId, customerId, cursor: afterId, limit: size } = asked;
  const indexesOf = (purpose: string, value: string | undefined) =>
    value === undefined ? undefined : keyring.blindIndexes(purpose, value);
  const found = await findTokenizationPage(
    db,
    {
      merchantReferenceId: asked.merchantReferenceId,
      orderReferenceId: asked.orderReferenceId,
      state: asked.state,
      quickpayIndexes: indexesOf('quickpay_id', quickpayId),
      customerIndexes: indexesOf('customer', customerId),
    },
    { afterId, rowsMax: size + 1 },
  );
  const { rows, nextCursor } = pageOf(found, size);
  return { items: rows.map((row) => viewOf(row, dependencies)), nextCursor };
}

/** Each of these has an index; without any, the whole table would be read. */
function assertBounded(asked: TokenizationFilter): void {
  const names = Object.keys(tokenizationFilter.shape);
  if (names.some((name) => Object.hasOwn(asked, name))) return;
  throw new AppError('payload_invalid', 'Name at least one of paths.', { paths: names });
}
