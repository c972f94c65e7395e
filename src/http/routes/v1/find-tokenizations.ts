import { z } from 'zod';
import { tokenizationFilter, tokenizationPage } from '../../../domain/payload/api-shapes.ts';
import { pageParameters } from '../../../domain/paging.ts';
import { findTokenizations as find } from '../../../tokenization/read/find.ts';
import { waitForProgress } from '../../../tokenization/read/long-poll.ts';
import { apiRoute } from '../../api/api-route.ts';
import { waitParameters } from '../../api/route-parameters.ts';

/** `GET /v1/tokenizations`: finds tokenizations by reference or state, newest first. */
export const findTokenizations = apiRoute({
  operationId: 'findTokenizations',
  method: 'GET',
  path: '/tokenizations',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'Find tokenizations',
  description:
    'Give at least one reference or a state; a tokenization must match all that are given. `wait` applies if exactly one matches.',
  query: z.strictObject({ ...tokenizationFilter.shape, ...pageParameters, ...waitParameters }),
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
