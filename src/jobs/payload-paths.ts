import type { z } from 'zod';

/** The paths that failed, without values. Keys that do not belong are named by their parent only: they are input too. */
export function pathsOf(issues: readonly z.core.$ZodIssue[]): readonly string[] {
  const paths = issues.flatMap((issue): string[] => {
    if (issue.code === 'invalid_union') return closestBranch(issue.errors);
    const path = issue.path.join('.');
    return [issue.code === 'unrecognized_keys' ? `${path}${path === '' ? '' : '.'}*` : path];
  });
  return [...new Set(paths)];
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
