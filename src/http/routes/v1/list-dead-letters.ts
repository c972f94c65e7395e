import { z } from 'zod';
import { listDeadLetters as findDeadLetters } from '../../../db/dead-letters.ts';
import { deadLetterPage } from '../../../domain/payload/api-shapes.ts';
import { apiRoute } from '../../api/api-route.ts';
import { deadLetterViewOf } from '../../api/dead-letter-view.ts';
import { pageOf, pageParameters } from '../../../domain/paging.ts';

/** `GET /v1/dead-letters`: jobs that failed for good, oldest first. Payloads stay sealed. */
export const listDeadLetters = apiRoute({
  operationId: 'listDeadLetters',
  method: 'GET',
  path: '/dead-letters',
  scope: 'operate',
  tag: 'dead letters',
  summary: 'List jobs that failed for good',
  query: z.strictObject(pageParameters),
  status: 200,
  answer: deadLetterPage,
  problems: [],
  async handle({ query }, { db }) {
    const found = await findDeadLetters(db, query.limit + 1, query.cursor);
    const { rows, nextCursor } = pageOf(found, query.limit);
    return { items: rows.map(deadLetterViewOf), nextCursor };
  },
});
