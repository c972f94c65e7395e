import type { z } from 'zod';
import { TokenClientError } from '../client/client-error.ts';
import { type BackendJobName, type backendJobs, isBackendJobName } from '../domain/backend-jobs.ts';
import { AppError } from '../domain/errors.ts';
import { parsePayload } from '../domain/payload-paths.ts';

/** What a backend hands over for one job. Its version may be left out. */
export type BackendPayload<Name extends BackendJobName> = WithoutVersion<
  z.input<(typeof backendJobs)[Name]['payload']>
>;

/** Of each form of a payload by itself. */
type WithoutVersion<Payload> = Payload extends { readonly v: infer Version }
  ? Omit<Payload, 'v'> & { readonly v?: Version }
  : never;

/**
 * Checks a payload and gives it its version. Throws `payload_invalid` with the paths that failed and no values, and `job_unknown` for
 * a name that only a caller without types can give.
 */
export function withVersion<Name extends BackendJobName>(
  name: Name,
  payload: BackendPayload<Name>,
): Readonly<Record<string, unknown>> {
  if (!isBackendJobName(name)) {
    throw new TokenClientError('No job that a backend may add has this name.', {
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
