import type { z } from 'zod';
import type { AuditContext } from '../domain/audit-entry.ts';
import type { ErrorCode } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-names.ts';
import type { RetryPolicy } from '../domain/retry-policy.ts';
import type { EntityType } from '../domain/transition.ts';
import type { EntityEvents, TransitionOutcome, TransitionRequest } from '../db/transition-door.ts';
import type { JobDependencies } from './dependencies.ts';

/**
 * What a run decided. `snooze` waits without using up an attempt, `cancel` gives up for good and leaves a dead letter.
 * Faults are thrown, decisions are returned.
 */
export type Outcome =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'snooze'; readonly delayMs: number; readonly result: string }
  | { readonly kind: 'cancel'; readonly code: ErrorCode; readonly paths: readonly string[] };

/** The work is finished; `result` is a word that an operator can search for. */
export function done(result: string): Outcome {
  return { kind: 'done', result };
}

/** Not yet: come back in `delayMs`, at no cost. */
export function snooze(delayMs: number, result: string): Outcome {
  return { kind: 'snooze', delayMs, result };
}

/** Trying again can't help. */
export function cancel(code: ErrorCode, paths: readonly string[] = []): Outcome {
  return { kind: 'cancel', code, paths };
}

/** Any event of any entity. */
export type AnyEvent = EntityEvents[EntityType];

/** Which job is running, as its audit rows will say. */
export interface RunningJob {
  readonly queue: QueueName;
  readonly name: string;
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
}

/** What a change asks for, minus what the pipeline knows about the job by itself. */
export type JobTransition<Entity extends EntityType, Event extends AnyEvent> = Omit<
  TransitionRequest<Entity>,
  'audit' | 'event'
> & {
  readonly event: EntityEvents[Entity] & Event;
  readonly audit?: Omit<Partial<AuditContext>, 'queue' | 'jobId' | 'attempt'>;
};

/** What a running job may use. */
export interface JobContext<Emits extends AnyEvent> extends JobDependencies {
  readonly job: RunningJob;
  /** Aborted when the job's time is over, its lock is lost or the worker stops. */
  readonly signal: AbortSignal;
  /** Commits one change through the transition door. Only the events in `emits` compile. */
  readonly apply: <Entity extends EntityType>(
    change: JobTransition<Entity, Emits>,
  ) => Promise<TransitionOutcome>;
  /** Replaces the payload that rests in the queue, once its content is sealed in Postgres. */
  readonly replacePayload: (payload: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** The contract of a job, and its story. */
export interface JobDefinition<Payload extends z.ZodType, Emits extends AnyEvent> {
  /** `noun.verb`, stable for ever: used in queues, metrics, logs and docs. */
  readonly name: string;
  readonly queue: QueueName;
  readonly payload: Payload;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  /** Whether the next run on its schedule does the same work, so that a failed one leaves no dead letter. */
  readonly isRepeating?: boolean;
  /** BullMQ's: a job without one is taken before all that have one, and of those the one with the smallest number. */
  readonly priority?: number;
  /** The changes that this job may commit. */
  readonly emits: readonly Emits[];
  readonly run: (payload: z.output<Payload>, context: JobContext<Emits>) => Promise<Outcome>;
}

/** A job whose payload type is no longer known, as the registry holds it. */
export interface AnyJob extends Omit<JobDefinition<z.ZodType, AnyEvent>, 'run'> {
  /** Runs with a payload that `payload` has parsed. */
  readonly runParsed: (payload: unknown, context: JobContext<AnyEvent>) => Promise<Outcome>;
  /** Parses, then runs. The one place where a payload of unknown type becomes a typed one. */
  readonly parse: (payload: unknown) => z.ZodSafeParseResult<unknown>;
}

/** Declares a job. The event list is inferred, so an event that is not in `emits` is a compile error. */
export function defineJob<Payload extends z.ZodType, const Emits extends AnyEvent>(
  definition: JobDefinition<Payload, Emits>,
): AnyJob {
  return {
    ...definition,
    parse: (payload) => definition.payload.safeParse(payload),
    runParsed: async (payload, context) =>
      await definition.run(
        // Parsing twice would be the only alternative to trusting that `runParsed` gets what `parse` returned.
        payload as z.output<Payload>,
        context,
      ),
  };
}

/** How soon to look again when somebody else changed the row first. */
const overtakenDelayMs = 1_000;

/** What a job's only change comes to: `word`, or another look, because the row that it was decided on is no more. */
export function committed({ isApplied }: TransitionOutcome, word: string): Outcome {
  return isApplied ? done(word) : snooze(overtakenDelayMs, 'overtaken');
}
