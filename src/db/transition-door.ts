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
import type { Db } from './database.ts';
import { entities } from './entities.ts';
import { commitTransitions, type PreparedTransition } from './transition-statement.ts';
import { type OutboxJob, deliveryJob } from '../domain/outbox-job.ts';

/** Events by entity. */
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

/** One change of one entity. */
export interface TransitionRequest<Entity extends EntityType = EntityType> {
  readonly entity: Entity;
  /** The row that the decision was made on: its version is the compare-and-set. Version 0, state null: a new row. */
  readonly row: { readonly id: string; readonly version: number; readonly state: string | null };
  readonly event: EntityEvents[Entity];
  /** Columns to set, by their SQL names; `<column>_in_ms` sets an instant relative to the database's clock. */
  readonly patch?: Readonly<Record<string, unknown>>;
  readonly audit: AuditContext;
  readonly jobs?: readonly OutboxJob[];
}

/** The database's answer: applied with the new version and state, or stale because somebody else was first. */
export type TransitionOutcome =
  | { readonly isApplied: true; readonly version: number; readonly state: string }
  | { readonly isApplied: false };

/** The only way a state changes. */
export interface TransitionDoor {
  /**
   * Commits one change with its audit row and its outbox rows. Resolves after the commit.
   * Throws `state_forbids` when the transition table does not allow the event in the row's state.
   */
  readonly apply: <Entity extends EntityType>(
    request: TransitionRequest<Entity>,
  ) => Promise<TransitionOutcome>;
  /** Waits until every change that was asked for is committed or refused. */
  readonly close: () => Promise<void>;
}

/** Bounds, and ears for what was committed. */
export interface TransitionDoorOptions {
  /** Statements in flight at once. */
  readonly statementsMax?: number;
  /** Changes in one statement. */
  readonly batchMax?: number;
  /** Whether the merchant's backend is told: each change that matters then commits its delivery too. */
  readonly isAnnouncing?: boolean;
  readonly onCommitted?: (entity: EntityType, event: string) => void;
  readonly onBatch?: (size: number) => void;
  /** Called after a commit that wrote outbox rows, so that the relay need not wait for its next poll. */
  readonly onJobsWritten?: () => void;
}

interface Pending {
  readonly prepared: PreparedTransition;
  readonly resolve: (outcome: TransitionOutcome) => void;
  readonly reject: (error: unknown) => void;
}

const statementsMaxDefault = 2;
const batchMaxDefault = 500;

/**
 * Creates the transition door. Changes that concurrent jobs ask for within one turn of the event loop are gathered into one statement;
 * each caller gets its own answer. Changes of one entity never share a statement, since a joined UPDATE would silently
 * apply only one of two: the later one waits until the earlier one is answered.
 */
export function createTransitionDoor(db: Db, options: TransitionDoorOptions = {}): TransitionDoor {
  const statementsMax = options.statementsMax ?? statementsMaxDefault;
  const batchMax = options.batchMax ?? batchMaxDefault;
  const busy = new Set<string>();
  const idleWaiters: (() => void)[] = [];
  let waiting: Pending[] = [];
  let statementsInFlight = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || statementsInFlight >= statementsMax || waiting.length === 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      startBatches();
    });
  }

  function startBatches(): void {
    while (statementsInFlight < statementsMax) {
      const batch = takeBatch();
      if (batch.length === 0) return;
      statementsInFlight += 1;
      for (const { prepared } of batch) busy.add(prepared.id);
      void commitBatch(db, batch, options).finally(() => {
        statementsInFlight -= 1;
        for (const { prepared } of batch) busy.delete(prepared.id);
        if (waiting.length === 0 && statementsInFlight === 0) {
          for (const wake of idleWaiters.splice(0)) wake();
        }
        schedule();
      });
    }
  }

  /** The oldest change that may start, with all others of its kind, at most one per entity, none overtaking another. */
  function takeBatch(): Pending[] {
    const batch: Pending[] = [];
    const left: Pending[] = [];
    const held = new Set(busy);
    let kind: string | undefined;
    for (const pending of waiting) {
      const { id } = pending.prepared;
      const itsKind = kindOf(pending.prepared);
      const isTaken =
        batch.length < batchMax && !held.has(id) && (kind === undefined || kind === itsKind);
      held.add(id);
      if (isTaken) {
        kind = itsKind;
        batch.push(pending);
      } else {
        left.push(pending);
      }
    }
    waiting = left;
    return batch;
  }

  return {
    async apply(request) {
      const prepared = prepare(request, options.isAnnouncing ?? false);
      return await new Promise<TransitionOutcome>((resolve, reject) => {
        waiting.push({ prepared, resolve, reject });
        schedule();
      });
    },
    async close() {
      if (waiting.length === 0 && statementsInFlight === 0) return;
      await new Promise<void>((resolve) => idleWaiters.push(resolve));
    },
  };
}

function kindOf({ entity, expectedVersion }: PreparedTransition): string {
  return `${entity} ${expectedVersion === 0 ? 'create' : 'change'}`;
}

function prepare(request: TransitionRequest, isAnnouncing: boolean): PreparedTransition {
  const { entity, row, event, patch = {}, audit, jobs = [] } = request;
  const to = nextState(entities[entity].transitions, row.state, event);
  if (to === undefined) {
    throw new AppError(
      'state_forbids',
      `${event} cannot happen to a ${entity} in state ${row.state ?? 'none'}.`,
    );
  }
  assertKnownColumns(entity, patch);
  assertAuditDetail(audit.detail ?? {});
  const deliveries =
    isAnnouncing && entity === 'tokenization' && isAnnounced(event)
      ? [{ id: randomUUID(), event_type: event }]
      : [];
  const allJobs = [...jobs, ...deliveries.map(({ id }) => deliveryJob(id, 1))];
  return {
    entity,
    id: row.id,
    expectedVersion: row.version,
    event,
    from: row.state,
    to,
    patch,
    audit: auditColumns(audit),
    deliveries,
    jobs: allJobs.map((job) => ({
      queue: job.queue,
      job_name: job.name,
      job_id: job.jobId,
      payload: job.payload,
      delay_ms: job.delayMs ?? 0,
    })),
  };
}

/** A column that the statement does not know would be dropped in silence; that is a fault in the caller. */
function assertKnownColumns(entity: EntityType, patch: Readonly<Record<string, unknown>>): void {
  const { columns, clockColumns } = entities[entity];
  const unknown = Object.keys(patch).filter(
    (key) => !columns.includes(key) && !clockColumns.some((column) => key === `${column}_in_ms`),
  );
  if (unknown.length > 0) {
    throw new AppError('internal', `A change of ${entity} sets columns that it does not have.`, {
      paths: unknown,
    });
  }
}

function auditColumns(audit: AuditContext): Readonly<Record<string, unknown>> {
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

/**
 * Commits a batch and answers each caller. When the statement fails, its batch is halved until the rows at fault stand alone: a
 * poisonous row never fails its neighbours, and one that was undone for another transaction, as in a deadlock, is tried again.
 * A lost connection fails the whole batch, as nobody knows what was committed.
 */
async function commitBatch(
  db: Db,
  batch: readonly Pending[],
  options: TransitionDoorOptions,
  retries = 0,
): Promise<void> {
  const first = batch[0];
  if (first === undefined) return;
  const { entity, expectedVersion } = first.prepared;
  let applied: ReadonlySet<string>;
  try {
    applied = await commitTransitions(
      db,
      entity,
      expectedVersion === 0 ? 'create' : 'change',
      batch.map(({ prepared }) => prepared),
    );
  } catch (error) {
    await failOrSplit(db, batch, options, error, retries);
    return;
  }
  options.onBatch?.(batch.length);
  answer(batch, applied, options);
}

function answer(
  batch: readonly Pending[],
  applied: ReadonlySet<string>,
  options: TransitionDoorOptions,
): void {
  let areJobsWritten = false;
  for (const { prepared, resolve } of batch) {
    if (!applied.has(prepared.id)) {
      resolve({ isApplied: false });
      continue;
    }
    areJobsWritten ||= prepared.jobs.length > 0;
    options.onCommitted?.(prepared.entity, prepared.event);
    resolve({ isApplied: true, version: prepared.expectedVersion + 1, state: prepared.to });
  }
  if (areJobsWritten) options.onJobsWritten?.();
}

async function failOrSplit(
  db: Db,
  batch: readonly Pending[],
  options: TransitionDoorOptions,
  error: unknown,
  retries: number,
): Promise<void> {
  if (batch.length > 1 && isRowFault(error)) {
    const middle = Math.ceil(batch.length / 2);
    await commitBatch(db, batch.slice(0, middle), options);
    await commitBatch(db, batch.slice(middle), options);
    return;
  }
  if (isSerializationFailure(error) && retries < serializationRetriesMax) {
    await commitBatch(db, batch, options, retries + 1);
    return;
  }
  const fault = isRowFault(error)
    ? new AppError('internal', 'The database refused a change.', { cause: error })
    : new AppError('database_unavailable', 'The database did not answer.', { cause: error });
  for (const { reject } of batch) reject(fault);
}

/** How often a change that met another transaction is tried again. */
const serializationRetriesMax = 10;

/** Whether PostgreSQL undid a change for the sake of another transaction: tried again, it has every chance. */
function isSerializationFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('40');
}

/** SQLSTATE classes of faults that lie in the data of one row, or in rows that met another transaction (40). */
function isRowFault(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') {
    return false;
  }
  return /^(?:22|23|40|42|54|P0)[0-9A-Z]{3}$/.test(error.code);
}
