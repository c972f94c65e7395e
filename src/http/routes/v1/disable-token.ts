import { tokenizationView } from '../../../domain/payload/api-shapes.ts';
import { disableToken as disable } from '../../../tokenization/token/disable.ts';
import { apiRoute } from '../../api/api-route.ts';
import { getTokenizationView } from '../../../tokenization/read/view.ts';
import { tokenizationParameters } from '../../api/route-parameters.ts';

/** `POST /v1/tokenizations/{id}/disable`: commits the intent; a job then cancels at the gateway. */
export const disableToken = apiRoute({
  operationId: 'disableToken',
  method: 'POST',
  path: '/tokenizations/:id/disable',
  scope: 'operate',
  tag: 'tokenizations',
  summary: 'Disable a token at the gateway',
  description: 'A token that is disabled or being disabled stays as it is.',
  params: tokenizationParameters,
  status: 202,
  answer: tokenizationView,
  problems: ['tokenization_not_found', 'state_forbids', 'stale_version'],
  async handle({ params: { id }, audit }, dependencies) {
    await disable(dependencies, { v: 1, tokenizationId: id }, audit);
    return await getTokenizationView(dependencies, id);
  },
});
