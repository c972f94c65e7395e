import type { JobSettings } from '../execution/dependencies.ts';

/** Columns that begin the schedule of queries: its first step, from now. */
export function firstLook({ reconcileScheduleMs }: Pick<JobSettings, 'reconcileScheduleMs'>) {
  return { reconcile_step: 0, reconcile_at_in_ms: reconcileScheduleMs[0] ?? 0 };
}
