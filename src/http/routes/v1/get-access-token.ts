import { z } from 'zod';
import { accessTokenView } from '../../../domain/api-shapes.ts';
import { credentialName } from '../../../domain/job-payloads.ts';
import { accessTokenViewOf } from '../../../access-token/read/reader.ts';
import { apiRoute } from '../../api/api-route.ts';

/** `GET /v1/access-tokens/{credential}`: the valid access token, at once in whatever state its renewal is. */
export const getAccessToken = apiRoute({
  operationId: 'getAccessToken',
  method: 'GET',
  path: '/access-tokens/:credential',
  scope: 'reveal',
  tag: 'access tokens',
  summary: 'The valid OPCard access token of a credential',
  description:
    'Never waits while a valid token exists. One that has run out is waited for, 5 seconds at most. The first hand-out of a ' +
    'generation to a key is audited right behind the answer, further ones are counted once a minute.',
  params: z.strictObject({ credential: credentialName }),
  status: 200,
  answer: accessTokenView,
  problems: ['credential_not_found', 'access_token_unavailable'],
  async handle({ params: { credential }, audit }, { accessTokens }) {
    return accessTokenViewOf(await accessTokens.read(credential, audit.actor));
  },
});
