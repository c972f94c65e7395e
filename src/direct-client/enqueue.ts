// What a backend needs to enqueue by itself: schemas, and neither a database client nor keys.
export { TokenClientError } from '../client/client-error.ts';
export type { TokenClientErrorCode, TokenClientErrorDetail } from '../client/client-error.ts';
export { addToQueue, type JobQueue } from './add-to-queue.ts';
export { enqueueIn, type EnqueueOptions, type SqlTransaction } from './enqueue-in.ts';
export type { BackendPayload } from './backend-payload.ts';
