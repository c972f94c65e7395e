import fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { AppError } from '../domain/errors.ts';
import { refusal } from './answer-codes.ts';
import { registerCheckoutRoutes } from './checkout/routes.ts';
import { registerControlRoutes } from './control-routes.ts';
import { registerOauthRoutes } from './oauth/routes.ts';
import { registerPageRoutes } from './page/routes.ts';
import type { SandboxContext } from './sandbox-context.ts';

const gatewayPaths = ['/pg/', '/pinc/', '/open-api/'];

/** The server with all routes, not yet listening. */
export function buildServer(context: SandboxContext): FastifyInstance {
  // Hang and latency faults keep connections open, and `close` must not wait for them.
  const server = fastify({ logger: false, forceCloseConnections: true });
  server.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  server.setErrorHandler((error: FastifyError | AppError, request, reply) => {
    // The gateway answers HTTP 200 with a code to every request, even to one with broken JSON.
    const isGatewayCall = gatewayPaths.some((path) => request.url.startsWith(path));
    if (isGatewayCall && isClientError(error)) return reply.code(200).send(refusal('param'));
    if (error instanceof AppError) {
      return reply.code(400).send({ error: error.message, paths: error.paths });
    }
    return reply.code(error.statusCode ?? 500).send({ error: error.code });
  });
  registerCheckoutRoutes(server, context);
  registerOauthRoutes(server, context);
  registerPageRoutes(server, context);
  registerControlRoutes(server, context);
  return server;
}

/** Starts listening. Throws `port_taken` when the port is in use, and passes other errors on. */
export async function listen(
  server: FastifyInstance,
  host: string,
  wantedPort: number,
): Promise<{ readonly url: string; readonly port: number }> {
  try {
    await server.listen({ host, port: wantedPort });
  } catch (error) {
    await server.close();
    if (!isPortTaken(error)) throw error;
    throw new AppError(
      'port_taken',
      `Port ${wantedPort} on ${host} is in use; choose another port for the sandbox, or 0 for a free one.`,
      { cause: error },
    );
  }
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : wantedPort;
  return { url: `http://${reachableHost(host)}:${port}`, port };
}

function isClientError(error: FastifyError | AppError): boolean {
  return 'statusCode' in error && error.statusCode !== undefined && error.statusCode < 500;
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

/** The host of a URL: clients cannot call a wildcard address, and IPv6 needs brackets. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
