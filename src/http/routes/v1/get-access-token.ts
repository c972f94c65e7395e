import { accessTokenView } from '../../../domain/payload/api-shapes.ts';
import { accessTokenViewOf } from '../../../access-token/read/reader.ts';
import { apiRoute } from '../../api/api-route.ts';
import { credentialParameters } from '../../api/route-parameters.ts';

/** `GET /v1/access-tokens/{credential}`: the valid access token, without waiting for a renewal. */
export const getAccessToken = apiRoute({
  operationId: 'getAccessToken',
  method: 'GET',
  path: '/access-tokens/:credential',
  scope: 'reveal',
  tag: 'access tokens',
  summary: 'Get the valid OPCard access token of a credential',
  description:
    'Answers at once while a valid token exists. Otherwise the request waits at most 5 seconds for a renewal. The worker ' +
    'records each read with its API key and generation within a second.',
  params: credentialParameters,
  status: 200,
  answer: accessTokenView,
  problems: ['credential_not_found', 'access_token_unavailable'],
  async handle({ params: { credential }, audit }, { accessTokens }) {
    return accessTokenViewOf(await accessTokens.read(credential, audit.actor));
  },
});
