import { z } from 'zod';
import { accessTokenView } from '../../../domain/api-shapes.ts';
import { credentialName } from '../../../domain/job-payloads.ts';
import { accessTokenViewOf } from '../../../access-token/read/reader.ts';
import { apiRoute } from '../../api/api-route.ts';

/**
 * `GET /v1/access-tokens/{credential}`: the valid access token, at once in whatever state its
 * renewal is.
 */
export const getAccessToken = apiRoute({
  operationId: 'getAccessToken',
  method: 'GET',
  path: '/access-tokens/:credential',
  scope: 'reveal',
  tag: 'access tokens',
  summary: 'The valid OPCard access token of a credential',
  description:
    'Never waits while a valid token exists. While there is none, it waits up to 5 seconds for a renewal. Each read is recorded ' +
    'under the key, within a second after the answer.',
  params: z.strictObject({ credential: credentialName }),
  status: 200,
  answer: accessTokenView,
  problems: ['credential_not_found', 'access_token_unavailable'],
  async handle({ params: { credential }, audit }, { accessTokens }) {
    return accessTokenViewOf(await accessTokens.read(credential, audit.actor));
  },
});
