import type { z } from 'zod';
import { type BackendJobName, backendJobs } from '../domain/backend-jobs.ts';
import { AppError } from '../domain/errors.ts';

/**
 * Parses what a backend hands over for one job. Throws `payload_invalid` with the paths that failed and no values, or
 * `payload_version_unsupported` with the path `v` when no form of this payload has its version.
 */
export function parsePayload<Name extends BackendJobName>(
  name: Name,
  payload: unknown,
): z.output<(typeof backendJobs)[Name]['payload']> {
  const parsed = backendJobs[name].payload.safeParse(payload);
  if (!parsed.success) throw refusalOf(name, payload, parsed.error.issues);
  // The table is indexed by a name that only the caller knows; what it holds for that name is what parsed.
  return parsed.data as z.output<(typeof backendJobs)[Name]['payload']>;
}

/** What a payload that did not parse is refused with. */
export function refusalOf(
  name: string,
  payload: unknown,
  issues: readonly z.core.$ZodIssue[],
): AppError {
  return isVersionNumber(payload) && isVersionAtFault(issues)
    ? new AppError(
        'payload_version_unsupported',
        `This release does not know this version of ${name}.`,
        { paths: ['v'] },
      )
    : new AppError('payload_invalid', `The payload does not fit ${name}.`, {
        paths: pathsOf(issues),
      });
}

function isVersionNumber(payload: unknown): boolean {
  return (
    typeof payload === 'object' &&
    payload !== null &&
    'v' in payload &&
    typeof payload.v === 'number'
  );
}

/** Whether every form that the payload was compared with has another version. */
function isVersionAtFault(issues: readonly z.core.$ZodIssue[]): boolean {
  return issues.some(
    (issue) =>
      (issue.path.length === 1 && issue.path[0] === 'v') ||
      (issue.code === 'invalid_union' &&
        issue.path.length === 0 &&
        issue.errors.length > 0 &&
        issue.errors.every(isVersionAtFault)),
  );
}

/** The paths that failed, without values. Keys that do not belong are named by their parent only: they are input too. */
export function pathsOf(issues: readonly z.core.$ZodIssue[]): readonly string[] {
  const paths = issues.flatMap((issue): string[] => {
    if (issue.code === 'invalid_union') return closestBranch(issue.errors);
    const path = issue.path.join('.');
    return [issue.code === 'unrecognized_keys' ? `${path}${path === '' ? '' : '.'}*` : path];
  });
  // A payload that is no object at all has no field to name.
  return [...new Set(paths.filter((path) => path !== ''))];
}

/**
 * A payload that fits no branch of a union was meant for the one with the fewest faults beyond keys that don't belong: content for content,
 * an id for an id.
 */
function closestBranch(branches: readonly (readonly z.core.$ZodIssue[])[]): string[] {
  const weight = (issues: readonly z.core.$ZodIssue[]): number =>
    issues.reduce(
      (sum, issue) => sum + (issue.code === 'unrecognized_keys' ? 2 * issue.keys.length : 1),
      0,
    );
  const closest = branches.toSorted((a, b) => weight(a) - weight(b))[0] ?? [];
  return [...pathsOf(closest)];
}
