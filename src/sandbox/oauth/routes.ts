import type { FastifyInstance } from 'fastify';
import { answerCodes, refusal } from '../answer-codes.ts';
import { exchange } from '../faults/gateway-call.ts';
import { createAccessToken, oauthCreateKey, oauthRefreshKey, refreshAccessToken } from './calls.ts';
import { isAccessTokenValid } from './token-store.ts';
import type { SandboxContext } from '../sandbox-context.ts';

/** The OPCard OAuth calls, and one protected call that tells whether an access token is good. */
export function registerOauthRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.post('/open-api/v1/oauth/token/create', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'oauth-create',
      key: oauthCreateKey(request.body),
      effect: () => createAccessToken(context, request.body),
    }),
  );
  server.post('/open-api/v1/oauth/token/refresh', (request, reply) =>
    exchange(context, reply, {
      endpoint: 'oauth-refresh',
      key: oauthRefreshKey(context, request.body),
      effect: () => refreshAccessToken(context, request.body),
    }),
  );
  // No such call exists at the gateway. The header holds the bare token, without `Bearer `, as its card calls do.
  server.post('/card-api/v1/probe', (request, reply) => {
    const token = request.headers.authorization ?? '';
    const isValid = isAccessTokenValid(context.oauth, token, Date.now());
    if (!isValid) return reply.code(401).send(refusal('access-token'));
    // An id beyond 2^53, unquoted as in the gateway's card answers.
    const data = '{"card_holder_id":1955930998425718784}';
    const { message } = answerCodes.success;
    return reply.type('application/json').send(`{"code":"200","msg":"${message}","data":${data}}`);
  });
}
