import type { z } from 'zod';
import { recordScanRun } from '../db/scan-runs.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import type { EntityType } from '../domain/transition.ts';
import {
  type AnyEvent,
  type AnyJob,
  cancel,
  type JobContext,
  type JobTransition,
  type Outcome,
  type RunningJob,
} from './define-job.ts';
import type { JobDependencies } from './job-dependencies.ts';
import { pathsOf } from './payload-paths.ts';

/** One delivery of a job by its queue, whichever backend the queue has. */
export interface JobDelivery {
  readonly job: RunningJob;
  readonly payload: unknown;
  /** Aborted when the job's lock is lost or the worker stops. */
  readonly signal: AbortSignal;
  readonly replacePayload: (payload: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** Faults in what was handed over: trying again can't help. */
const permanentCodes = new Set<string>([
  'payload_invalid',
  'payload_version_unsupported',
  'reference_conflict',
  'return_url_not_allowed',
  'credential_not_found',
  'tokenization_not_found',
]);

/**
 * Runs one delivery: parse, start the timer, run, turn typed faults of the input into `cancel`. Knows no queue. Throws only what
 * a later attempt may mend.
 */
export async function executeJob(
  definition: AnyJob,
  delivery: JobDelivery,
  dependencies: JobDependencies,
): Promise<Outcome> {
  const parsed = definition.parse(delivery.payload);
  if (!parsed.success) return refusePayload(delivery.payload, parsed.error);
  const timeout = AbortSignal.timeout(definition.timeoutMs);
  const context: JobContext<AnyEvent> = {
    ...dependencies,
    job: delivery.job,
    signal: AbortSignal.any([timeout, delivery.signal]),
    replacePayload: delivery.replacePayload,
    apply: async (change) =>
      await dependencies.door.apply({
        ...change,
        audit: auditOf(change, delivery.job, dependencies),
      }),
  };
  try {
    const outcome = await definition.runParsed(parsed.data, context);
    if (definition.isRepeating === true) await recordScanRun(dependencies.db, definition.name);
    return outcome;
  } catch (error) {
    if (error instanceof AppError && permanentCodes.has(error.code)) {
      return cancel(error.code, error.paths);
    }
    throw error;
  }
}

function refusePayload(payload: unknown, error: z.ZodError): Outcome {
  const version = isRecord(payload) ? payload['v'] : undefined;
  if (typeof version === 'number' && version !== 1) {
    return cancel('payload_version_unsupported', ['v']);
  }
  return cancel('payload_invalid', pathsOf(error.issues));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function auditOf(
  change: JobTransition<EntityType, AnyEvent>,
  job: RunningJob,
  { workerId }: JobDependencies,
): AuditContext {
  return {
    actor: { type: 'worker', id: workerId },
    ...change.audit,
    queue: job.queue,
    jobId: job.id,
    attempt: job.attempt,
  };
}
