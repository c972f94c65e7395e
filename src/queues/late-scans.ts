import type { RepeatingJob } from '../jobs/registry.ts';

/** A job that has not run for this many intervals is late. */
const lateIntervals = 4;

/**
 * The repeating jobs that are late.
 *
 * @param agesMs how long ago each of them last ran
 * @param watchedForMs how long they have been watched. A job is late only after this long, so that
 * none is called late right after a pause of all workers
 */
export function findLateScans(
  repeating: readonly RepeatingJob[],
  agesMs: ReadonlyMap<string, number>,
  watchedForMs: number,
  floorMs = 0,
): readonly RepeatingJob[] {
  return repeating.filter(({ job, everyMs }) => {
    const ageMs = Math.min(agesMs.get(job.name) ?? Infinity, watchedForMs);
    return ageMs > Math.max(everyMs * lateIntervals, floorMs);
  });
}

/** How often to look for late jobs, by the shortest of their intervals. */
export function lateScansEveryMs(repeating: readonly RepeatingJob[]): number {
  return Math.min(...repeating.map(({ everyMs }) => everyMs)) * lateIntervals;
}
