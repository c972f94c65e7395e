import type { FastifyInstance } from 'fastify';
import { answerCodes, refusal } from '../answer-codes.ts';
import { answerGatewayCall } from '../faults/gateway-call.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { createAccessToken, createCallKey, refreshAccessToken, refreshCallKey } from './calls.ts';
import { isAccessTokenValid } from './token-store.ts';

/** The OPCard OAuth calls, and a protected call that shows whether an access token is valid. */
export function registerOauthRoutes(server: FastifyInstance, context: SandboxContext): void {
  server.post('/open-api/v1/oauth/token/create', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'oauth-create',
      key: createCallKey(request.body),
      effect: () => createAccessToken(context, request.body),
    }),
  );
  server.post('/open-api/v1/oauth/token/refresh', (request, reply) =>
    answerGatewayCall(context, reply, {
      endpoint: 'oauth-refresh',
      key: refreshCallKey(context, request.body),
      effect: () => refreshAccessToken(context, request.body),
    }),
  );
  // The gateway has no such call. Like its card calls, it takes the token without `Bearer `.
  server.post('/card-api/v1/probe', (request, reply) => {
    const token = request.headers.authorization ?? '';
    const isValid = isAccessTokenValid(context.oauthTokens, token, Date.now());
    if (!isValid) return reply.code(401).send(refusal('access-token'));
    // Like the gateway's card answers, this one holds an unquoted id beyond 2^53.
    const data = '{"card_holder_id":1955930998425718784}';
    const { message } = answerCodes.success;
    return reply.type('application/json').send(`{"code":"200","msg":"${message}","data":${data}}`);
  });
}
