import { z } from 'zod';
import { tokenizationView } from '../../../domain/api-shapes.ts';
import { requestConfirmation } from '../../../tokenization/outcome/request-confirmation.ts';
import { apiRoute } from '../../api/api-route.ts';
import { getTokenizationView } from '../../../tokenization/read/view.ts';

/** `POST /v1/tokenizations/{id}/confirm`: has the gateway asked now. */
export const confirmTokenization = apiRoute({
  operationId: 'confirmTokenization',
  method: 'POST',
  path: '/tokenizations/:id/confirm',
  scope: 'operate',
  tag: 'tokenizations',
  summary: 'Ask the gateway now what became of it',
  description:
    'For results that are owed, and for what failed or expired. A token that works is not asked about: 409.',
  params: z.strictObject({ id: z.uuid() }),
  status: 202,
  answer: tokenizationView,
  problems: ['tokenization_not_found', 'state_forbids', 'stale_version'],
  async handle({ params: { id }, audit }, dependencies) {
    await requestConfirmation(dependencies, id, audit);
    return await getTokenizationView(dependencies, id);
  },
});
