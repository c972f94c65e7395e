import type { z } from 'zod';
import { TokenClientError } from '../client/client-error.ts';
import { type BackendJobName, type backendJobs, isBackendJobName } from '../domain/backend-jobs.ts';
import { AppError } from '../domain/errors.ts';
import { parsePayload } from '../domain/payload-paths.ts';

/** The payload that a backend sends for a job. Its version is optional. */
export type BackendPayload<Name extends BackendJobName> = WithoutVersion<
  z.input<(typeof backendJobs)[Name]['payload']>
>;

/** Makes the version optional in each form of a payload. */
type WithoutVersion<Payload> = Payload extends { readonly v: infer Version }
  ? Omit<Payload, 'v'> & { readonly v?: Version }
  : never;

/**
 * Validates a payload and adds its version. Throws `payload_invalid` with the paths that failed and
 * no values, and `job_unknown` for a name that the types forbid.
 */
export function withVersion<Name extends BackendJobName>(
  name: Name,
  payload: BackendPayload<Name>,
): Readonly<Record<string, unknown>> {
  if (!isBackendJobName(name)) {
    throw new TokenClientError('A backend can add no job with this name.', {
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
