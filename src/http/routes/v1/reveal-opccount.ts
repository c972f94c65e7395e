import { revealedOpccount } from '../../../domain/payload/api-shapes.ts';
import { revealOpccount as openOpccount } from '../../../credential/reveal-opccount.ts';
import { apiRoute } from '../../api/api-route.ts';
import { credentialParameters } from '../../api/route-parameters.ts';

/**
 * `POST /v1/opccount-credentials/{credential}/reveal`: the credential, audited under the caller's
 * API key.
 */
export const revealOpccount = apiRoute({
  operationId: 'revealOpccount',
  method: 'POST',
  path: '/opccount-credentials/:credential/reveal',
  scope: 'reveal',
  tag: 'credentials',
  summary: 'Reveal an OPCCOUNT credential',
  description:
    'OPCCOUNT has no tokens: a backend signs each call with the private key. Each reveal increments the version of ' +
    "the credential and writes an audit row with the name of the caller's API key. Keep the answer in memory only.",
  params: credentialParameters,
  status: 200,
  answer: revealedOpccount,
  problems: ['credential_not_found', 'stale_version'],
  async handle({ params: { credential }, audit }, dependencies) {
    return await openOpccount(dependencies, credential, audit);
  },
});
