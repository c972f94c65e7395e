import { TokenClientError } from '../client/client-error.ts';
import { type BackendJobName, isBackendJobName } from '../domain/payload/backend-jobs.ts';
import { AppError } from '../domain/errors.ts';
import { parsePayload } from '../domain/payload/payload-paths.ts';
import type {
  AccessTokenRefresh,
  RawCallback,
  TokenDisable,
  TokenizationRequest,
} from '../domain/payload/payload-types.ts';

/** The payload of each job that a backend can add. */
interface BackendPayloads {
  'tokenization.request': TokenizationRequest;
  'token.disable': TokenDisable;
  'callback.verify': RawCallback;
  'notify.handle': RawCallback;
  'access-token.refresh': AccessTokenRefresh;
}

/** The payload that a backend sends for a job. Its version is optional. */
export type BackendPayload<Name extends BackendJobName> = BackendPayloads[Name];

/**
 * Validates a payload and adds its version. Throws `payload_invalid` with the paths that failed and
 * no values, and `job_unknown` for a name that the types forbid.
 */
export function withVersion<Name extends BackendJobName>(
  name: Name,
  payload: BackendPayload<Name>,
): Readonly<Record<string, unknown>> {
  if (!isBackendJobName(name)) {
    throw new TokenClientError('A backend cannot add a job with this name.', {
      code: 'job_unknown',
      paths: ['jobName'],
      isRetryable: false,
    });
  }
  const versioned = { v: 1, ...payload };
  try {
    parsePayload(name, versioned);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, paths } = error;
    throw new TokenClientError(message, { code, paths, isRetryable: false });
  }
  return versioned;
}
