import { sql } from 'kysely';
import { AppError } from '../domain/errors.ts';
import type { Db } from './connection/database.ts';
import type { OutboxJob } from '../domain/outbox-job.ts';
import type { EntityType } from '../domain/transition.ts';
import type { TransitionOutcome } from './transition-request.ts';
import {
  commitTransitions,
  type PreparedTransition,
  type WrittenRow,
} from './transition-statement.ts';

/** A change that waits for its commit, and its caller. */
export interface PendingChange {
  readonly prepared: PreparedTransition;
  readonly resolve: (outcome: TransitionOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Takes jobs straight to their queues, without the outbox. */
export interface JobHandOver {
  /** Whether it takes this job. Asked before the commit. */
  readonly takes: (job: OutboxJob) => boolean;
  /** Called after the commit of the changes that the jobs belong to. */
  readonly take: (jobs: readonly OutboxJob[]) => void;
}

/** Called after the commit of a batch. */
export interface CommitObservers {
  /** Default: all jobs go into the outbox. */
  readonly handOver?: JobHandOver;
  readonly onCommitted?: (entity: EntityType, event: string) => void;
  readonly onBatch?: (size: number) => void;
  /**
   * Called after a commit that wrote outbox rows, so that the relay skips the wait for its poll.
   */
  readonly onJobsWritten?: () => void;
}

/** What the commit of a batch needs. */
interface BatchContext {
  readonly db: Db;
  readonly options: CommitObservers;
}

/**
 * Commits a batch and resolves each caller's promise. If a row makes the statement fail, the batch
 * is halved until that row is alone, so it never fails the others. A row that met a deadlock or a
 * serialization failure is retried. Rows that another session has locked fail alone. A lost
 * connection fails the whole batch, because it is unknown whether the statement committed.
 */
export async function commitBatch(
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
  options: CommitObservers,
): void {
  const instants = new Map(applied.map((row) => [row.id, row.updated_at]));
  const handedOver: OutboxJob[] = [];
  let areJobsWritten = false;
  for (const { prepared, resolve } of batch) {
    const { entity, id, version, to: state } = prepared;
    const at = instants.get(id);
    if (at === undefined) {
      resolve({ isApplied: false });
      continue;
    }
    areJobsWritten ||= prepared.jobs.length > 0;
    handedOver.push(...prepared.handedOver);
    for (const event of prepared.events) options.onCommitted?.(entity, event);
    resolve({ isApplied: true, version, state, at });
  }
  if (handedOver.length > 0) options.handOver?.take(handedOver);
  if (areJobsWritten) options.onJobsWritten?.();
}

async function splitOrRejectBatch(
  context: BatchContext,
  batch: readonly PendingChange[],
  error: unknown,
  retries: number,
): Promise<void> {
  if (batch.length > 1 && isLockTimeout(error) && (await rejectLockedRows(context, batch, error))) {
    return;
  }
  if (batch.length > 1 && (isRowFault(error) || isLockTimeout(error))) {
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
    : databaseUnavailable(error);
  for (const { reject } of batch) reject(fault);
}

/**
 * Rejects the changes of rows that another session has locked, and commits the others. Returns
 * false where no row of the batch is locked: then the statement waited for another row, such as the
 * parent of a new one.
 */
async function rejectLockedRows(
  context: BatchContext,
  batch: readonly PendingChange[],
  error: unknown,
): Promise<boolean> {
  const locked = await findLockedIds(context.db, batch).catch(() => new Set<string>());
  if (locked.size === 0) return false;
  const fault = databaseUnavailable(error);
  for (const { prepared, reject } of batch) if (locked.has(prepared.id)) reject(fault);
  await commitBatch(
    context,
    batch.filter(({ prepared }) => !locked.has(prepared.id)),
  );
  return true;
}

async function findLockedIds(
  db: Db,
  batch: readonly PendingChange[],
): Promise<ReadonlySet<string>> {
  const [first] = batch;
  if (first === undefined) return new Set();
  const { entity } = first.prepared;
  const ids = batch.map(({ prepared }) => prepared.id);
  const { rows } = await sql<{ id: string }>`
    with free as (
      select id from ${sql.table(entity)} where id = any(${ids}::uuid[])
      for no key update skip locked
    )
    select id from ${sql.table(entity)}
    where id = any(${ids}::uuid[]) and id not in (select id from free)`.execute(db);
  return new Set(rows.map(({ id }) => id));
}

function databaseUnavailable(cause: unknown): AppError {
  return new AppError('database_unavailable', 'The database did not answer.', { cause });
}

/** Whether the statement waited too long for a lock that another session holds. */
function isLockTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '55P03';
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
