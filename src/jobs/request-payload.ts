import type { TokenizationRequestPayload } from '../domain/job-payloads.ts';
import { parsePayload } from '../domain/payload-paths.ts';

/** Parses a request that somebody hands over. Throws what `parsePayload` does. */
export function requestTokenizationPayload(value: unknown): TokenizationRequestPayload {
  return parsePayload('tokenization.request', value);
}
