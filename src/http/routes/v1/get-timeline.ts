import { z } from 'zod';
import { timeline } from '../../../domain/payload/api-shapes.ts';
import { numericPageParameters } from '../../../domain/paging.ts';
import { readTimeline } from '../../../tokenization/read/timeline.ts';
import { apiRoute } from '../../api/api-route.ts';
import { tokenizationParameters } from '../../api/route-parameters.ts';

/** `GET /v1/tokenizations/{id}/timeline`: the audit rows, oldest first. */
export const getTimeline = apiRoute({
  operationId: 'getTimeline',
  method: 'GET',
  path: '/tokenizations/:id/timeline',
  scope: 'read',
  tag: 'tokenizations',
  summary: 'List the changes of a tokenization and of the messages about it',
  params: tokenizationParameters,
  query: z.strictObject(numericPageParameters),
  status: 200,
  answer: timeline,
  problems: ['tokenization_not_found'],
  handle: async ({ params, query }, dependencies) =>
    await readTimeline(dependencies, params.id, query),
});
