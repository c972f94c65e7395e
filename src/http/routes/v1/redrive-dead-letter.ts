import { z } from 'zod';
import { findDeadLetter } from '../../../db/dead-letters.ts';
import { deadLetterView } from '../../../domain/payload/api-shapes.ts';
import { AppError } from '../../../domain/errors.ts';
import { apiRoute } from '../../api/api-route.ts';
import { deadLetterViewOf } from '../../api/dead-letter-view.ts';
import { redriveJob } from '../../../dead-letter/redrive.ts';

/** `POST /v1/dead-letters/{id}/redrive`: puts the job of a dead letter back on its queue. */
export const redriveDeadLetter = apiRoute({
  operationId: 'redriveDeadLetter',
  method: 'POST',
  path: '/dead-letters/:id/redrive',
  scope: 'operate',
  tag: 'dead letters',
  summary: 'Put a job back on its queue',
  params: z.strictObject({ id: z.uuid().describe('Id of the dead letter.') }),
  status: 202,
  answer: deadLetterView,
  problems: ['dead_letter_not_found', 'state_forbids'],
  async handle({ params: { id }, audit }, dependencies) {
    await redriveJob(dependencies, id, audit);
    const row = await findDeadLetter(dependencies.db, id);
    if (row === undefined) throw new AppError('internal', 'The redriven dead letter is missing.');
    return deadLetterViewOf(row);
  },
});
