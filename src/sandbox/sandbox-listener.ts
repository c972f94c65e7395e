import type { FastifyInstance } from 'fastify';
import { AppError } from '../domain/errors.ts';

/** Listens and tells the address. Throws `port_taken` when the port is in use; other faults of the system pass as they are. */
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

/** An address that can be called: a wildcard can only be listened on, and IPv6 needs brackets. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
