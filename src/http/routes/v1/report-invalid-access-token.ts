import { invalidAccessTokenBody, reportResult } from '../../../domain/payload/api-shapes.ts';
import { reportInvalidToken } from '../../../access-token/read/report-invalid.ts';
import { apiRoute } from '../../api/api-route.ts';
import { credentialParameters } from '../../api/route-parameters.ts';

/** `POST /v1/access-tokens/{credential}/invalid`: reports a 401 of the gateway for a generation. */
export const reportInvalidAccessToken = apiRoute({
  operationId: 'reportInvalidAccessToken',
  method: 'POST',
  path: '/access-tokens/:credential/invalid',
  scope: 'reveal',
  tag: 'access tokens',
  summary: 'Report that the gateway refused an access token',
  description:
    'Brings the renewal of the current generation forward, once. A report about an older generation, or during a renewal, is ignored.',
  params: credentialParameters,
  body: invalidAccessTokenBody,
  status: 202,
  answer: reportResult,
  problems: ['credential_not_found'],
  async handle({ params: { credential }, body: { generation }, audit }, dependencies) {
    dependencies.accessTokens.invalidate(credential, generation);
    const result = await reportInvalidToken(dependencies, credential, generation, audit.actor);
    return { result };
  },
});
