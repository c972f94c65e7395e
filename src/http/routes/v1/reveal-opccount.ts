import { z } from 'zod';
import { revealedOpccount } from '../../../domain/api-shapes.ts';
import { credentialName } from '../../../domain/job-payloads.ts';
import { revealOpccount as openOpccount } from '../../../credential/reveal-opccount.ts';
import { apiRoute } from '../../api/api-route.ts';

/** `POST /v1/opccount-credentials/{credential}/reveal`: what calls to OPCCOUNT are signed with, and an audit row that names the key that asked. */
export const revealOpccount = apiRoute({
  operationId: 'revealOpccount',
  method: 'POST',
  path: '/opccount-credentials/:credential/reveal',
  scope: 'reveal',
  tag: 'credentials',
  summary: 'An OPCCOUNT credential',
  description:
    'OPCCOUNT knows no tokens: a backend signs each of its calls with the private key. Each reveal is a change of its own: a ' +
    'version, and an audit row that names the key. Keep what is answered in memory only.',
  params: z.strictObject({ credential: credentialName }),
  status: 200,
  answer: revealedOpccount,
  problems: ['credential_not_found', 'stale_version'],
  async handle({ params: { credential }, audit }, dependencies) {
    return await openOpccount(dependencies, credential, audit);
  },
});
