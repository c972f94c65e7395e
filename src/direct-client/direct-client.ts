export * from '../client/exports.ts';
export { addToQueue, type JobQueue } from './add-to-queue.ts';
export { enqueueIn, type EnqueueOptions, type SqlTransaction } from './enqueue-in.ts';
export type { BackendPayload } from './backend-payload.ts';
export { type DirectTokenClient, openDirectTokenClient } from './open-direct-client.ts';
export type { DirectClientOptions } from './direct-client-options.ts';
export { type UnwrittenHandOut, UnwrittenHandOutsError } from './unwritten-hand-outs-error.ts';
