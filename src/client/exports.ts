// The exports that the HTTP client and the direct client share.
export { TokenClientError } from './client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from './client-error.ts';
export type { AwaitedTokenization, TokenClient, WaitOptions } from './token-client.ts';
export type {
  AccessTokenView,
  KeptCallback,
  OpccountCredential,
  TimelineEvent,
  TokenizationPage,
  TokenizationView,
} from './answers.ts';
export type {
  RawCallback,
  TokenizationFilter,
  TokenizationRequest,
} from '../domain/payload/payload-types.ts';
