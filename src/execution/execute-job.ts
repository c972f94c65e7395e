import { recordScanRun } from '../db/scan-runs.ts';
import { startDeadline } from '../deadline.ts';
import { isInputFault } from '../domain/errors.ts';
import {
  type AnyEvent,
  type AnyJob,
  cancel,
  type JobContext,
  type Outcome,
  type RunningJob,
} from './define-job.ts';
import type { JobDependencies } from './dependencies.ts';
import { refusalOf } from '../domain/payload/payload-paths.ts';

/** One delivery of a job by its queue, on any backend. */
export interface JobDelivery {
  readonly job: RunningJob;
  readonly payload: unknown;
  /** Aborted when the job's lock is lost or the worker stops. */
  readonly signal: AbortSignal;
  readonly replacePayload: (payload: Readonly<Record<string, unknown>>) => Promise<void>;
}

/**
 * Runs one delivery, independent of the queue: parses the payload, runs the job under its timeout,
 * and turns faults of the input into `cancel`. Throws only faults that a retry may resolve.
 */
export async function executeJob(
  definition: AnyJob,
  delivery: JobDelivery,
  dependencies: JobDependencies,
): Promise<Outcome> {
  const parsed = definition.parse(delivery.payload);
  if (!parsed.success) {
    const { code, paths } = refusalOf(delivery.job.name, delivery.payload, parsed.error.issues);
    return cancel(code, paths);
  }
  const { workerId } = dependencies;
  const { queue, id: jobId, attempt } = delivery.job;
  const auditOf: JobContext<AnyEvent>['auditOf'] = (audit) => ({
    actor: { type: 'worker', id: workerId },
    ...audit,
    queue,
    jobId,
    attempt,
  });
  const deadline = startDeadline(definition.timeoutMs, delivery.signal);
  const context: JobContext<AnyEvent> = {
    ...dependencies,
    job: delivery.job,
    signal: deadline.signal,
    replacePayload: delivery.replacePayload,
    auditOf,
    apply: async (change) =>
      await dependencies.door.apply({ ...change, audit: auditOf(change.audit) }),
  };
  try {
    const outcome = await definition.runParsed(parsed.data, context);
    if (definition.isRepeating === true) await recordScanRun(dependencies.db, definition.name);
    return outcome;
  } catch (error) {
    if (isInputFault(error)) {
      return cancel(error.code, error.paths);
    }
    throw error;
  } finally {
    deadline.clear();
  }
}
