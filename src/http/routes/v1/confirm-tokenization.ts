import { tokenizationView } from '../../../domain/payload/api-shapes.ts';
import { requestConfirmation } from '../../../tokenization/outcome/request-confirmation.ts';
import { apiRoute } from '../../api/api-route.ts';
import { getTokenizationView } from '../../../tokenization/read/view.ts';
import { tokenizationParameters } from '../../api/route-parameters.ts';

/** `POST /v1/tokenizations/{id}/confirm`: the worker queries the gateway now. */
export const confirmTokenization = apiRoute({
  operationId: 'confirmTokenization',
  method: 'POST',
  path: '/tokenizations/:id/confirm',
  scope: 'operate',
  tag: 'tokenizations',
  summary: 'Query the gateway now for the status of a tokenization',
  description:
    'Works while the result is open, and after a failure or expiry. For an active token the answer is 409.',
  params: tokenizationParameters,
  status: 202,
  answer: tokenizationView,
  problems: ['tokenization_not_found', 'state_forbids', 'stale_version'],
  async handle({ params: { id }, audit }, dependencies) {
    await requestConfirmation(dependencies, id, audit);
    return await getTokenizationView(dependencies, id);
  },
});
