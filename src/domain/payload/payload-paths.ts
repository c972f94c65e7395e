import type { z } from 'zod';
import { type BackendJobName, backendJobs } from './backend-jobs.ts';
import { AppError } from '../errors.ts';

/**
 * Parses the payload that a backend sent for one job. Throws `payload_invalid` with the paths that
 * failed and no values, or `payload_version_unsupported` with the path `v` when no schema of this
 * payload has its version.
 */
export function parsePayload<Name extends BackendJobName>(
  name: Name,
  payload: unknown,
): z.output<(typeof backendJobs)[Name]['payload']> {
  const parsed = backendJobs[name].payload.safeParse(payload);
  if (!parsed.success) throw refusalOf(name, payload, parsed.error.issues);
  // TypeScript can't see that the schema for `name` is the one that parsed.
  return parsed.data as z.output<(typeof backendJobs)[Name]['payload']>;
}

/** The error for a payload that did not parse. */
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

/** Whether the payload's version fits none of the schemas that it was compared with. */
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

/**
 * The paths that failed, without values. An unrecognized key is shown as `*` below its parent,
 * because the key itself comes from the input.
 */
export function pathsOf(issues: readonly z.core.$ZodIssue[]): readonly string[] {
  const paths = issues.flatMap((issue): string[] => {
    if (issue.code === 'invalid_union') return closestBranch(issue.errors);
    const path = issue.path.join('.');
    return [issue.code === 'unrecognized_keys' ? `${path}${path === '' ? '' : '.'}*` : path];
  });
  // A payload that is not an object has no field to name.
  return [...new Set(paths.filter((path) => path !== ''))];
}

/**
 * The faults of the union's branch that the payload most likely meant: the one with the least
 * weight. An unrecognized key weighs two, since it points to another branch.
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
