import { executeJob } from '../../../src/execution/execute-job.ts';
import type { Outcome } from '../../../src/execution/define-job.ts';
import type { JobDependencies } from '../../../src/execution/dependencies.ts';
import { findJob } from '../../../src/jobs/registry.ts';

/** Runs one job once and returns its outcome. */
export async function runJob(
  name: string,
  payload: Readonly<Record<string, unknown>>,
  dependencies: JobDependencies,
  {
    id = 'harness',
    signal = new AbortController().signal,
  }: { readonly id?: string; readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  const job = findJob(name);
  if (job === undefined) throw new Error(`there is no job ${name}`);
  return await executeJob(
    job,
    {
      job: { queue: job.queue, name, id, attempt: 1 },
      payload: { v: 1, ...payload },
      signal,
      replacePayload: async () => await Promise.resolve(),
    },
    dependencies,
  );
}

/** The result of an outcome, which is a reason code, or `cancel` and its code. */
export function wordOf(outcome: Outcome): string {
  return outcome.kind === 'cancel' ? `cancel ${outcome.code}` : outcome.result;
}
