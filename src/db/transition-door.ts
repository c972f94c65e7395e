import { AppError } from '../domain/errors.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';
import type { EntityType } from '../domain/transition.ts';
import type { Db } from './connection/database.ts';
import { commitBatch, type CommitObservers, type PendingChange } from './commit-batch.ts';
import {
  prepareTransition,
  type TransitionOutcome,
  type TransitionRequest,
} from './transition-request.ts';

/** The only way to change a state. */
export interface TransitionDoor {
  /**
   * Commits a change with its audit row and its outbox rows, and the changes that follow it with
   * theirs. Resolves after the commit. Throws `state_forbids` when the transition table does not
   * allow an event in the state that the row then has.
   */
  readonly apply: <Entity extends EntityType>(
    request: TransitionRequest<Entity>,
  ) => Promise<TransitionOutcome>;
  /** Waits until every requested change is committed or refused. */
  readonly close: () => Promise<void>;
}

/** A door that tells how long it has been stuck. */
export interface ObservableDoor extends TransitionDoor {
  /**
   * For how many milliseconds all statements of one kind of change have been in flight without one
   * of them ending; 0 while each kind has a free one. Changes of that kind can't be committed in
   * this time.
   */
  readonly stuckForMs: () => number;
}

/** Limits and observers of the transition door. */
export interface TransitionDoorOptions extends CommitObservers {
  /** The most statements in flight, for each kind of change. */
  readonly statementsMax?: number;
  /** The most changes in one statement. */
  readonly batchMax?: number;
  /** The most changes of one kind that wait; further ones are refused. */
  readonly waitingMax?: number;
  /** Whether a change that has a webhook event also commits the delivery of that event. */
  readonly isAnnouncing?: boolean;
}

const statementsMaxDefault = 2;
const batchMaxDefault = 500;
const waitingMaxDefault = 20_000;

/**
 * The changes of one kind, such as "callback create". Each kind has its own statements, so that
 * rows which another session has locked hold up no other kind.
 */
interface Lane {
  waiting: PendingChange[];
  statementsInFlight: number;
  /** When the last free statement was taken; undefined while one is free. */
  fullSinceMs: number | undefined;
}

/**
 * Creates the transition door. It gathers the changes that concurrent jobs request within one turn
 * of the event loop into one statement for each kind of change, and each caller gets its own
 * outcome.
 *
 * Two changes of one entity never share a statement, because a joined UPDATE would silently apply
 * only one of them. The later one waits for the earlier one.
 */
export function createTransitionDoor(db: Db, options: TransitionDoorOptions = {}): ObservableDoor {
  const statementsMax = options.statementsMax ?? statementsMaxDefault;
  const batchMax = options.batchMax ?? batchMaxDefault;
  const waitingMax = options.waitingMax ?? waitingMaxDefault;
  const prepareOptions = {
    isAnnouncing: options.isAnnouncing ?? false,
    isHandedOver: (job: OutboxJob) => options.handOver?.takes(job) ?? false,
  };
  const lanes = new Map<string, Lane>();
  /** The entities with a change that waits or is in flight, each with its later changes. */
  const laterChanges = new Map<string, PendingChange[]>();
  const idleWaiters: (() => void)[] = [];
  let isScheduled = false;

  function laneOf({ prepared: { entity, expectedVersion } }: PendingChange): Lane {
    const kind = `${entity} ${expectedVersion === 0 ? 'create' : 'change'}`;
    let lane = lanes.get(kind);
    if (lane === undefined) {
      lane = { waiting: [], statementsInFlight: 0, fullSinceMs: undefined };
      lanes.set(kind, lane);
    }
    return lane;
  }

  /** Puts a change in its lane, or behind the earlier changes of its entity. */
  function enqueue(change: PendingChange): void {
    const lane = laneOf(change);
    const later = laterChanges.get(change.prepared.id);
    const queue = later ?? lane.waiting;
    if (queue.length >= waitingMax) {
      throw new AppError('database_unavailable', 'Too many changes wait for the database.');
    }
    queue.push(change);
    if (later === undefined) laterChanges.set(change.prepared.id, []);
    scheduleBatches();
  }

  function scheduleBatches(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      for (const lane of lanes.values()) startBatches(lane);
    });
  }

  function startBatches(lane: Lane): void {
    while (lane.statementsInFlight < statementsMax && lane.waiting.length > 0) {
      const batch = lane.waiting.splice(0, batchMax);
      lane.statementsInFlight += 1;
      if (lane.statementsInFlight >= statementsMax) lane.fullSinceMs = performance.now();
      void commitBatch({ db, options }, batch).finally(() => {
        lane.statementsInFlight -= 1;
        lane.fullSinceMs = undefined;
        for (const { prepared } of batch) releaseEntity(prepared.id);
        scheduleBatches();
        if (laterChanges.size === 0) for (const wake of idleWaiters.splice(0)) wake();
      });
    }
  }

  /** Lets the next change of an entity into its lane. */
  function releaseEntity(id: string): void {
    const next = laterChanges.get(id)?.shift();
    if (next === undefined) laterChanges.delete(id);
    else laneOf(next).waiting.push(next);
  }

  return {
    async apply(request) {
      const prepared = prepareTransition(request, prepareOptions);
      return await new Promise<TransitionOutcome>((resolve, reject) => {
        enqueue({ prepared, resolve, reject });
      });
    },
    async close() {
      if (laterChanges.size === 0) return;
      await new Promise<void>((resolve) => idleWaiters.push(resolve));
    },
    stuckForMs() {
      const since = [...lanes.values()].map(({ fullSinceMs }) => fullSinceMs ?? Infinity);
      return Math.max(0, performance.now() - Math.min(Infinity, ...since));
    },
  };
}
