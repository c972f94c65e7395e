export { TokenClientError } from '../client/client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from '../client/client-error.ts';
export type {
  AwaitedTokenization,
  RawCallback,
  TokenClient,
  TokenizationFilter,
  TokenizationRequest,
  WaitOptions,
} from '../client/token-client.ts';
export type {
  AccessTokenView,
  KeptCallback,
  TimelineEvent,
  TokenizationPage,
  TokenizationView,
} from '../client/answers.ts';
export { addToQueue, type JobQueue } from './add-to-queue.ts';
export { enqueueIn, type EnqueueOptions, type SqlTransaction } from './enqueue-in.ts';
export type { BackendPayload } from './backend-payload.ts';
export { type DirectTokenClient, openDirectTokenClient } from './open-direct-client.ts';
export type { DirectClientOptions } from './direct-client-options.ts';
