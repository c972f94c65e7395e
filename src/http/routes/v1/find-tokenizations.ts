import { z } from 'zod';
import { tokenizationFilter, tokenizationPage } from '../../../domain/api-shapes.ts';
import { cursor, limit } from '../../../domain/paging.ts';
import { findTokenizations as find } from '../../../tokenization/read/find.ts';
import { waitForProgress } from '../../../tokenization/read/long-poll.ts';
import { apiRoute } from '../../api/api-route.ts';
import { waitParameters } from '../../api/waiting.ts';

/** `GET /v1/tokenizations`: by any reference or by state, newest first. */
export const findTokenizations = apiRoute({
  operationId: 'findTokenizations',
  method: 'GET',
  path: '/tokenizations',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'Find tokenizations',
  description:
    'Name at least one of the references, or a state; all that is named has to fit. `wait` works where exactly one is found.',
  query: z.strictObject({ ...tokenizationFilter.shape, cursor, limit, ...waitParameters }),
  status: 200,
  answer: tokenizationPage,
  problems: ['wait_capacity_reached'],
  async handle({ query, signal }, dependencies) {
    const { wait: waitMs, until } = query;
    const page = await find(dependencies, query, query);
    const [only, ...others] = page.items;
    const isOne = others.length === 0 && page.nextCursor === null && query.cursor === undefined;
    if (only === undefined || !isOne) return page;
    const isChanged = await waitForProgress(dependencies, only, { waitMs, until, signal });
    return isChanged ? await find(dependencies, query, query) : page;
  },
});
