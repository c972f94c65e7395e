import { type ConnectionOptions, openConnection } from './connection.ts';
import { createHttpTransport } from './http-transport.ts';
import { createClientOn, type TokenClient } from './token-client.ts';

export * from './exports.ts';
export type { ConnectionOptions } from './connection.ts';

/** Creates a client of the worker's HTTP API. It sends nothing yet and needs no close. */
export function createTokenClient(options: ConnectionOptions): TokenClient {
  return createClientOn(createHttpTransport(openConnection(options)));
}
