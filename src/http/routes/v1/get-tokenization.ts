import { z } from 'zod';
import { tokenizationView } from '../../../domain/payload/api-shapes.ts';
import { apiRoute } from '../../api/api-route.ts';
import { awaitTokenization } from '../../../tokenization/read/long-poll.ts';
import { tokenizationParameters, waitParameters } from '../../api/route-parameters.ts';

/** `GET /v1/tokenizations/{id}`: state, redirect URL and times; `wait` makes it a long poll. */
export const getTokenization = apiRoute({
  operationId: 'getTokenization',
  method: 'GET',
  path: '/tokenizations/:id',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'Get one tokenization',
  description:
    'With `wait` the answer comes once there is a redirect URL or a final state, or with the current state at the end of the wait.',
  params: tokenizationParameters,
  query: z.strictObject(waitParameters),
  status: 200,
  answer: tokenizationView,
  problems: ['tokenization_not_found', 'wait_capacity_reached'],
  async handle({ params, query, signal }, dependencies) {
    const { wait: waitMs, until } = query;
    return await awaitTokenization(dependencies, params.id, { waitMs, until, signal });
  },
});
