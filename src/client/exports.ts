// What both entries of the package say of answers, errors and calls: the client over HTTP and the one on PostgreSQL.
export { TokenClientError } from './client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from './client-error.ts';
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
