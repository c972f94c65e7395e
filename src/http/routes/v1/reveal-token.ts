import { revealedToken } from '../../../domain/payload/api-shapes.ts';
import { revealToken as openToken } from '../../../tokenization/token/reveal.ts';
import { apiRoute } from '../../api/api-route.ts';
import { tokenizationParameters } from '../../api/route-parameters.ts';

/** `POST /v1/tokenizations/{id}/reveal`: the QuickPay ID, audited under the caller's API key. */
export const revealToken = apiRoute({
  operationId: 'revealToken',
  method: 'POST',
  path: '/tokenizations/:id/reveal',
  scope: 'reveal',
  tag: 'tokenizations',
  summary: 'Reveal a QuickPay ID',
  description:
    "Each reveal increments the tokenization's version and writes an audit row with the name of the caller's API key.",
  params: tokenizationParameters,
  status: 200,
  answer: revealedToken,
  problems: ['tokenization_not_found', 'state_forbids', 'stale_version'],
  async handle({ params: { id }, audit }, dependencies) {
    const quickpayId = await openToken(dependencies, id, audit);
    return { id, quickpayId: quickpayId.reveal() };
  },
});
