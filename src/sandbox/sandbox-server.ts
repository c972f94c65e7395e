import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { AppError } from '../domain/errors.ts';
import { refusal } from './answer-codes.ts';
import { registerCheckoutRoutes } from './checkout/routes.ts';
import { registerControlRoutes } from './control-routes.ts';
import { registerHostedPageRoutes } from './page/routes.ts';
import { registerOauthRoutes } from './oauth/routes.ts';
import type { SandboxContext } from './sandbox-context.ts';

const gatewayPaths = ['/pg/', '/pinc/', '/open-api/'];

/** The server with all routes, not yet listening. */
export function buildServer(context: SandboxContext): FastifyInstance {
  // Hanging and latency faults leave connections open; close must not wait for them.
  const server = fastify({ logger: false, forceCloseConnections: true });
  server.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  server.setErrorHandler((error: FastifyError | AppError, request, reply) => {
    // The gateway answers 200 and a code whenever a request reached it, also when its JSON is broken.
    const isGatewayCall = gatewayPaths.some((path) => request.url.startsWith(path));
    if (isGatewayCall && isCallerFault(error)) return reply.code(200).send(refusal('param'));
    if (error instanceof AppError) {
      return reply.code(400).send({ error: error.message, paths: error.paths });
    }
    return reply.code(error.statusCode ?? 500).send({ error: error.code });
  });
  registerCheckoutRoutes(server, context);
  registerOauthRoutes(server, context);
  registerHostedPageRoutes(server, context);
  registerControlRoutes(server, context);
  return server;
}

function isCallerFault(error: FastifyError | AppError): boolean {
  return 'statusCode' in error && error.statusCode !== undefined && error.statusCode < 500;
}
