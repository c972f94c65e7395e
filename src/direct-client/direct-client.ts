export * from '../client/exports.ts';
export { type DirectTokenClient, openDirectTokenClient } from './open-direct-client.ts';
export type { DirectClientOptions } from './direct-client-options.ts';
export { type UnrecordedReads, UnrecordedReadsError } from './unrecorded-reads-error.ts';
