import { randomUUID } from 'node:crypto';
import type { AccessTokenEvent } from '../domain/access-token.ts';
import type { ApiKeyEvent } from '../domain/api-key.ts';
import { assertAuditDetail, type AuditContext } from '../domain/audit-entry.ts';
import type { CallbackEvent } from '../domain/callback.ts';
import type { CredentialEvent } from '../domain/credential.ts';
import type { DeadLetterEvent } from '../domain/dead-letter.ts';
import { type DeliveryEvent, isAnnounced, type WebhookEndpointEvent } from '../domain/delivery.ts';
import { AppError } from '../domain/errors.ts';
import type { TokenizationEvent } from '../domain/tokenization.ts';
import { type EntityType, nextState } from '../domain/transition.ts';
import type { Db } from './connection/database.ts';
import { entities } from './entities.ts';
import {
  commitTransitions,
  type PreparedTransition,
  type WrittenRow,
} from './transition-statement.ts';
import { type OutboxJob, deliveryJob } from '../domain/outbox-job.ts';

/** The events of each entity. */
export interface EntityEvents {
  readonly credential: CredentialEvent;
  readonly tokenization: TokenizationEvent;
  readonly callback: CallbackEvent;
  readonly access_token: AccessTokenEvent;
  readonly dead_letter: DeadLetterEvent;
  readonly delivery: DeliveryEvent;
  readonly webhook_endpoint: WebhookEndpointEvent;
  readonly api_key: ApiKeyEvent;
}

/** A change of an entity: its event, the columns that it sets, its cause and its jobs. */
export interface EntityChange<Entity extends EntityType = EntityType> {
  readonly event: EntityEvents[Entity];
  /**
   * Columns to set, by their SQL names; `<column>_in_ms` sets an instant relative to the database's
   * clock.
   */
  readonly patch?: Readonly<Record<string, unknown>>;
  readonly audit: AuditContext;
  readonly jobs?: readonly OutboxJob[];
}

/** A change of one entity, and changes that commit with it. */
export interface TransitionRequest<
  Entity extends EntityType = EntityType,
> extends EntityChange<Entity> {
  readonly entity: Entity;
  /**
   * The row that the caller decided on. Its version is the compare-and-set; version 0 with state
   * null creates the row.
   */
  readonly row: { readonly id: string; readonly version: number; readonly state: string | null };
  /** Changes that follow in the same commit. Each has a version and an audit row of its own. */
  readonly then?: readonly EntityChange<Entity>[];
}

/**
 * The outcome: applied with the new version and state and the instant of the commit's change on the
 * database's clock, or stale because another change was first.
 */
export type TransitionOutcome =
  | {
      readonly isApplied: true;
      readonly version: number;
      readonly state: string;
      readonly at: Date;
    }
  | { readonly isApplied: false };

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
   * For how many milliseconds all statements have been in flight without one of them ending; 0
   * while one is free. Other changes can't be committed in this time.
   */
  readonly stuckForMs: () => number;
}

/** Limits and observers of the transition door. */
export interface TransitionDoorOptions {
  /** The most statements in flight. */
  readonly statementsMax?: number;
  /** The most changes in one statement. */
  readonly batchMax?: number;
  /** Whether a change that has a webhook event also commits the delivery of that event. */
  readonly isAnnouncing?: boolean;
  readonly onCommitted?: (entity: EntityType, event: string) => void;
  readonly onBatch?: (size: number) => void;
  /**
   * Called after a commit that wrote outbox rows, so that the relay skips the wait for its poll.
   */
  readonly onJobsWritten?: () => void;
}

interface PendingChange {
  readonly prepared: PreparedTransition;
  readonly resolve: (outcome: TransitionOutcome) => void;
  readonly reject: (error: unknown) => void;
}

const statementsMaxDefault = 2;
const batchMaxDefault = 500;

/**
 * Creates the transition door. It gathers the changes that concurrent jobs request within one turn
 * of the event loop into one statement, and each caller gets its own outcome.
 *
 * Two changes of one entity never share a statement, because a joined UPDATE would silently apply
 * only one of them. The later one waits for the earlier one.
 */
export function createTransitionDoor(db: Db, options: TransitionDoorOptions = {}): ObservableDoor {
  const statementsMax = options.statementsMax ?? statementsMaxDefault;
  const batchMax = options.batchMax ?? batchMaxDefault;
  const idsInFlight = new Set<string>();
  const idleWaiters: (() => void)[] = [];
  let backlog: PendingChange[] = [];
  let statementsInFlight = 0;
  /** When the last free statement was taken; undefined while one is free. */
  let fullSinceMs: number | undefined;
  let isScheduled = false;

  function scheduleBatches(): void {
    if (isScheduled || statementsInFlight >= statementsMax || backlog.length === 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      startBatches();
    });
  }

  function startBatches(): void {
    while (statementsInFlight < statementsMax) {
      const batch = takeBatchFromBacklog();
      if (batch.length === 0) return;
      statementsInFlight += 1;
      if (statementsInFlight >= statementsMax) fullSinceMs = performance.now();
      for (const { prepared } of batch) idsInFlight.add(prepared.id);
      void commitBatch({ db, options }, batch).finally(() => {
        statementsInFlight -= 1;
        fullSinceMs = undefined;
        for (const { prepared } of batch) idsInFlight.delete(prepared.id);
        if (backlog.length === 0 && statementsInFlight === 0) {
          for (const wake of idleWaiters.splice(0)) wake();
        }
        scheduleBatches();
      });
    }
  }

  /** Takes the oldest change that may start and all others of its kind, at most one per entity. */
  function takeBatchFromBacklog(): PendingChange[] {
    const batch: PendingChange[] = [];
    const left: PendingChange[] = [];
    const blockedIds = new Set(idsInFlight);
    let batchKind: string | undefined;
    for (const pending of backlog) {
      const { id } = pending.prepared;
      const kind = kindOf(pending.prepared);
      const isTaken =
        batch.length < batchMax &&
        !blockedIds.has(id) &&
        (batchKind === undefined || batchKind === kind);
      // A later change of the same entity must not overtake this one, taken or not.
      blockedIds.add(id);
      if (isTaken) {
        batchKind = kind;
        batch.push(pending);
      } else {
        left.push(pending);
      }
    }
    backlog = left;
    return batch;
  }

  return {
    async apply(request) {
      const prepared = prepareTransition(request, options.isAnnouncing ?? false);
      return await new Promise<TransitionOutcome>((resolve, reject) => {
        backlog.push({ prepared, resolve, reject });
        scheduleBatches();
      });
    },
    async close() {
      if (backlog.length === 0 && statementsInFlight === 0) return;
      await new Promise<void>((resolve) => idleWaiters.push(resolve));
    },
    stuckForMs: () => (fullSinceMs === undefined ? 0 : performance.now() - fullSinceMs),
  };
}

function kindOf({ entity, expectedVersion }: PreparedTransition): string {
  return `${entity} ${expectedVersion === 0 ? 'create' : 'change'}`;
}

function prepareTransition(request: TransitionRequest, isAnnouncing: boolean): PreparedTransition {
  const { entity, row, then = [] } = request;
  const auditRows: Readonly<Record<string, unknown>>[] = [];
  const deliveries: Readonly<Record<string, unknown>>[] = [];
  const jobs: OutboxJob[] = [];
  let { version, state } = row;
  let patch: Readonly<Record<string, unknown>> = {};
  for (const change of [request, ...then]) {
    const to = stateAfter(entity, state, change.event);
    version += 1;
    const audit = auditColumns(change.audit);
    auditRows.push({
      entity_type: entity,
      entity_id: row.id,
      version,
      event: change.event,
      from_state: state,
      to_state: to,
      ...audit,
    });
    state = to;
    patch = mergePatches(patch, checkedPatch(entity, change.patch));
    jobs.push(...(change.jobs ?? []));
    if (isAnnouncing && entity === 'tokenization' && isAnnounced(change.event)) {
      const delivery = newDelivery(change.event, version, to, audit);
      deliveries.push(delivery.row);
      auditRows.push(delivery.auditRow);
      jobs.push(deliveryJob(delivery.row.id, 1));
    }
  }
  return {
    entity,
    id: row.id,
    expectedVersion: row.version,
    from: row.state,
    to: state ?? '',
    version,
    patch,
    auditRows,
    deliveries,
    events: [request, ...then].map(({ event }) => event),
    jobs: jobs.map((job) => ({
      queue: job.queue,
      job_name: job.name,
      job_id: job.jobId,
      payload: job.payload,
      delay_ms: job.delayMs ?? 0,
    })),
  };
}

function stateAfter(entity: EntityType, state: string | null, event: string): string {
  const to = nextState(entities[entity].transitions, state, event);
  if (to !== undefined) return to;
  throw new AppError(
    'state_forbids',
    `${event} cannot happen to a ${entity} in state ${state ?? 'none'}.`,
  );
}

/** The later patch decides about a column, whether it names a value or a wait. */
function mergePatches(
  earlier: Readonly<Record<string, unknown>>,
  later: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const columnOf = (key: string): string => key.replace(/_in_ms$/, '');
  const decided = new Set(Object.keys(later).map(columnOf));
  const kept = Object.entries(earlier).filter(([key]) => !decided.has(columnOf(key)));
  return { ...Object.fromEntries(kept), ...later };
}

/** The delivery that announces a tokenization's event, and its first audit row. */
function newDelivery(
  event: string,
  sequence: number,
  status: string,
  { actor_type, actor_id, queue, job_id, attempt, trace_id }: AuditColumns,
) {
  const id = randomUUID();
  return {
    row: { id, event_type: event, sequence, status },
    auditRow: {
      entity_type: 'delivery',
      entity_id: id,
      version: 1,
      event: 'delivery.created',
      to_state: 'pending',
      actor_type,
      actor_id,
      queue,
      job_id,
      attempt,
      trace_id,
      detail: { eventType: event },
    },
  };
}

/** Throws on a fault of the caller: the statement would silently ignore an unknown column. */
function checkedPatch(
  entity: EntityType,
  patch: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const { columns, clockColumns } = entities[entity];
  const unknown = Object.keys(patch).filter(
    (key) => !columns.includes(key) && !clockColumns.some((column) => key === `${column}_in_ms`),
  );
  if (unknown.length > 0) {
    throw new AppError('internal', `A change of ${entity} sets columns that it does not have.`, {
      paths: unknown,
    });
  }
  return patch;
}

type AuditColumns = ReturnType<typeof auditColumns>;

function auditColumns(audit: AuditContext) {
  assertAuditDetail(audit.detail ?? {});
  return {
    actor_type: audit.actor.type,
    actor_id: audit.actor.id,
    queue: audit.queue,
    job_id: audit.jobId,
    attempt: audit.attempt,
    channel: audit.channel,
    evidence_id: audit.evidenceId,
    evidence_digest: audit.evidenceDigest,
    reason: audit.reason,
    gateway_code: audit.gatewayCode,
    trace_id: audit.traceId,
    detail: audit.detail ?? {},
  };
}

interface BatchContext {
  readonly db: Db;
  readonly options: TransitionDoorOptions;
}

/**
 * Commits a batch and resolves each caller's promise. If a row makes the statement fail, the batch
 * is halved until that row is alone, so it never fails the others. A row that met a deadlock or a
 * serialization failure is retried. A lost connection fails the whole batch, because it is unknown
 * whether the statement committed.
 */
async function commitBatch(
  context: BatchContext,
  batch: readonly PendingChange[],
  retries = 0,
): Promise<void> {
  const first = batch[0];
  if (first === undefined) return;
  const { entity, expectedVersion } = first.prepared;
  let applied: readonly WrittenRow[];
  try {
    applied = await commitTransitions(
      context.db,
      entity,
      expectedVersion === 0 ? 'create' : 'change',
      batch.map(({ prepared }) => prepared),
    );
  } catch (error) {
    await splitOrRejectBatch(context, batch, error, retries);
    return;
  }
  context.options.onBatch?.(batch.length);
  resolveBatch(batch, applied, context.options);
}

function resolveBatch(
  batch: readonly PendingChange[],
  applied: readonly WrittenRow[],
  options: TransitionDoorOptions,
): void {
  const instants = new Map(applied.map((row) => [row.id, row.updated_at]));
  let areJobsWritten = false;
  for (const { prepared, resolve } of batch) {
    const { entity, id, version, to: state } = prepared;
    const at = instants.get(id);
    if (at === undefined) {
      resolve({ isApplied: false });
      continue;
    }
    areJobsWritten ||= prepared.jobs.length > 0;
    for (const event of prepared.events) options.onCommitted?.(entity, event);
    resolve({ isApplied: true, version, state, at });
  }
  if (areJobsWritten) options.onJobsWritten?.();
}

async function splitOrRejectBatch(
  context: BatchContext,
  batch: readonly PendingChange[],
  error: unknown,
  retries: number,
): Promise<void> {
  if (batch.length > 1 && isRowFault(error)) {
    const middle = Math.ceil(batch.length / 2);
    await commitBatch(context, batch.slice(0, middle));
    await commitBatch(context, batch.slice(middle));
    return;
  }
  if (isSerializationFailure(error) && retries < serializationRetriesMax) {
    await commitBatch(context, batch, retries + 1);
    return;
  }
  const fault = isRowFault(error)
    ? new AppError('internal', 'The database refused a change.', { cause: error })
    : new AppError('database_unavailable', 'The database did not answer.', { cause: error });
  for (const { reject } of batch) reject(fault);
}

/** The most retries of a change after deadlocks and serialization failures. */
const serializationRetriesMax = 10;

/**
 * Whether PostgreSQL rolled the change back in favour of another transaction (SQLSTATE class 40).
 */
function isSerializationFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('40');
}

/** Whether the fault comes from one row's data, or from its conflict with another transaction. */
function isRowFault(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return false;
  }
  return /^(?:22|23|40|42|54|P0)[0-9A-Z]{3}$/.test(error.code);
}
