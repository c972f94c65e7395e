import { AppError } from '../domain/errors.ts';
import {
  tokenizationRequestPayload,
  type TokenizationRequestPayload,
} from '../domain/job-payloads.ts';
import { pathsOf } from './payload-paths.ts';

/** Parses a request that somebody hands over. Throws `payload_invalid` with the paths that failed and no values. */
export function requestTokenizationPayload(value: unknown): TokenizationRequestPayload {
  const parsed = tokenizationRequestPayload.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError('payload_invalid', 'The payload does not fit tokenization.request.', {
    paths: pathsOf(parsed.error.issues),
  });
}
