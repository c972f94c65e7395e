import { type ConnectionOptions, openConnection } from './connection.ts';
import { createHttpTransport } from './http-transport.ts';
import { createClientOn, type TokenClient } from './token-client.ts';

export * from './exports.ts';
export type { ConnectionOptions } from './connection.ts';

/** A client of a worker's HTTP API. Nothing is sent yet, and nothing has to be closed. */
export function createTokenClient(options: ConnectionOptions): TokenClient {
  return createClientOn(createHttpTransport(openConnection(options)));
}
