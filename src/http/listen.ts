import type { FastifyInstance } from 'fastify';
import { AppError } from '../domain/errors.ts';

/** The address of a listener, and the variable that sets its port. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly portVariable: 'CALLBACK_PORT' | 'OPS_PORT';
}

/** Starts listening and returns the actual URL. Throws `port_taken` with the variable to change. */
export async function listenOn(
  server: FastifyInstance,
  { host, port, portVariable }: ListenOptions,
): Promise<{ url: string }> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'EADDRINUSE' || code === 'EACCES') {
      throw new AppError(
        'port_taken',
        `Port ${port} on ${host} can't be used: stop what listens there, or change ${portVariable}.`,
        { cause },
      );
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      const hostVariable = portVariable === 'CALLBACK_PORT' ? 'CALLBACK_HOST' : 'OPS_HOST';
      throw new AppError(
        'port_taken',
        `This machine has no address ${host}: change ${hostVariable}.`,
        { cause },
      );
    }
    throw cause;
  }
  const address = server.server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : port;
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return { url: `http://${shown}:${boundPort}` };
}
