import { type ConnectionOptions, openConnection } from './connection.ts';
import { createHttpTransport } from './http-transport.ts';
import { createClientOn, type TokenClient } from './token-client.ts';

export { TokenClientError } from './client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from './client-error.ts';
export type { ConnectionOptions } from './connection.ts';
export type {
  AwaitedTokenization,
  RawCallback,
  TokenClient,
  TokenizationFilter,
  TokenizationRequest,
  WaitOptions,
} from './token-client.ts';
export type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';

/** A client of a worker's HTTP API. Nothing is sent yet, and nothing has to be closed. */
export function createTokenClient(options: ConnectionOptions): TokenClient {
  return createClientOn(createHttpTransport(openConnection(options)));
}
