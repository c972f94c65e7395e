import type { z } from 'zod';
import type { AuditContext } from '../domain/audit-entry.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-names.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { EntityType } from '../domain/transition.ts';
import type {
  EntityEvents,
  TransitionOutcome,
  TransitionRequest,
} from '../db/transition-request.ts';
import type { JobDependencies } from './dependencies.ts';

/**
 * What a run decided. `snooze` runs the job again later without using up an attempt; `cancel` ends
 * it for good and leaves a dead letter. A run throws faults and returns decisions.
 */
export type Outcome =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'snooze'; readonly delayMs: number; readonly result: string }
  | { readonly kind: 'cancel'; readonly code: ErrorCode; readonly paths: readonly string[] };

/** The work is finished. `result` is a reason code that operators can search for. */
export function done(result: string): Outcome {
  return { kind: 'done', result };
}

/** Runs the job again after `delayMs`, without using up an attempt. */
export function snooze(delayMs: number, result: string): Outcome {
  return { kind: 'snooze', delayMs, result };
}

/** Ends the job for good: a retry can't help. */
export function cancel(code: ErrorCode, paths: readonly string[] = []): Outcome {
  return { kind: 'cancel', code, paths };
}

/** Any event of any entity. */
export type AnyEvent = EntityEvents[EntityType];

/** The running job, as its audit rows name it. */
export interface RunningJob {
  readonly queue: QueueName;
  readonly name: string;
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
}

/** A change that a job requests. The job's own audit fields are added to it. */
export type JobTransition<Entity extends EntityType, Event extends AnyEvent> = Omit<
  TransitionRequest<Entity>,
  'audit' | 'event' | 'followedBy'
> & {
  readonly event: EntityEvents[Entity] & Event;
  readonly audit?: PartialAudit;
};

/** What a job says about the cause of a change; the worker and the job itself are added. */
export type PartialAudit = Omit<Partial<AuditContext>, 'queue' | 'jobId' | 'attempt'>;

/** What a running job may use. */
export interface JobContext<Emits extends AnyEvent> extends JobDependencies {
  readonly job: RunningJob;
  /** Aborted at the job's timeout, when its lock is lost, or when the worker stops. */
  readonly signal: AbortSignal;
  /** Commits one change through the transition door; only events in `emits` compile. */
  readonly apply: <Entity extends EntityType>(
    change: JobTransition<Entity, Emits>,
  ) => Promise<TransitionOutcome>;
  /** The whole audit context of a change, for operations that commit it themselves. */
  readonly auditOf: (audit?: PartialAudit) => AuditContext;
  /** Replaces the payload on the queue, once its content is sealed in PostgreSQL. */
  readonly replacePayload: (payload: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** The contract of a job. */
export interface JobDefinition<Payload extends z.ZodType, Emits extends AnyEvent> {
  /** `noun.verb`. It never changes: queues, metrics, logs and docs use it. */
  readonly name: string;
  readonly queue: QueueName;
  readonly payload: Payload;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  /**
   * Whether its next scheduled run does the same work, so that a failed run needs no dead letter.
   */
  readonly isRepeating?: boolean;
  /** As in BullMQ: jobs without a priority go first, then those with the smallest number. */
  readonly priority?: number;
  /** The changes that this job may commit. */
  readonly emits: readonly Emits[];
  readonly run: (payload: z.output<Payload>, context: JobContext<Emits>) => Promise<Outcome>;
}

/** A job in the registry, where its payload type is unknown. */
export interface AnyJob extends Omit<JobDefinition<z.ZodType, AnyEvent>, 'run'> {
  /** Runs with a payload that `payload` has parsed. */
  readonly runParsed: (payload: unknown, context: JobContext<AnyEvent>) => Promise<Outcome>;
  /** Checks a payload of unknown type. */
  readonly parse: (payload: unknown) => z.ZodSafeParseResult<unknown>;
}

/**
 * Declares a job. The event list is inferred, so an event that is not in `emits` is a compile
 * error.
 */
export function defineJob<Payload extends z.ZodType, const Emits extends AnyEvent>(
  definition: JobDefinition<Payload, Emits>,
): AnyJob {
  return {
    ...definition,
    parse: (payload) => definition.payload.safeParse(payload),
    runParsed: async (payload, context) =>
      await definition.run(
        // The caller passes what `parse` returned; the alternative is to parse twice.
        payload as z.output<Payload>,
        context,
      ),
  };
}

/** The wait after another change of the row came first. */
const overtakenDelayMs = 1_000;

/**
 * The outcome of a job's only change: `result`, or another run where the row had changed before.
 */
export function committed({ isApplied }: TransitionOutcome, result: string): Outcome {
  return isApplied ? done(result) : snooze(overtakenDelayMs, 'overtaken');
}
