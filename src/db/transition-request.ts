import { randomUUID } from 'node:crypto';
import type { AccessTokenEvent } from '../domain/access-token.ts';
import type { ApiKeyEvent } from '../domain/api-key.ts';
import { assertAuditDetail, type AuditContext } from '../domain/audit-entry.ts';
import type { CallbackEvent } from '../domain/callback.ts';
import type { CredentialEvent } from '../domain/credential.ts';
import type { DeadLetterEvent } from '../domain/dead-letter.ts';
import { type DeliveryEvent, isAnnounced, type WebhookEndpointEvent } from '../domain/delivery.ts';
import { AppError } from '../domain/errors.ts';
import { deliveryJob, type OutboxJob } from '../domain/outbox-job.ts';
import type { TokenizationEvent } from '../domain/tokenization.ts';
import { type EntityType, nextState } from '../domain/transition.ts';
import { entities } from './entities.ts';
import type { PreparedTransition } from './transition-statement.ts';

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
  readonly followedBy?: readonly EntityChange<Entity>[];
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

/** What decides about the rows that a change writes besides its own. */
export interface PrepareOptions {
  /** Whether a change that has a webhook event also gets the delivery of that event. */
  readonly isAnnouncing: boolean;
  /** Whether a job goes to its queue without an outbox row. */
  readonly isHandedOver: (job: OutboxJob) => boolean;
}

/** Checks a request against the transition table and the columns of its entity. */
export function prepareTransition(
  request: TransitionRequest,
  { isAnnouncing, isHandedOver }: PrepareOptions,
): PreparedTransition {
  const { entity, row, followedBy = [] } = request;
  const auditRows: Readonly<Record<string, unknown>>[] = [];
  const deliveries: Readonly<Record<string, unknown>>[] = [];
  const jobs: OutboxJob[] = [];
  const changes = [request, ...followedBy];
  let { version, state } = row;
  for (const change of changes) {
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
    jobs.push(...(change.jobs ?? []));
    if (isAnnouncing && entity === 'tokenization' && isAnnounced(change.event)) {
      const delivery = newDelivery(change.event, version, to, audit);
      deliveries.push(delivery.row);
      auditRows.push(delivery.auditRow);
      jobs.push(deliveryJob(delivery.row.id, 1));
    }
  }
  const handedOver = jobs.filter(isHandedOver);
  const outboxJobs = jobs.filter((job) => !handedOver.includes(job));
  return {
    entity,
    id: row.id,
    expectedVersion: row.version,
    from: row.state,
    to: state ?? '',
    version,
    patch: changes.map(({ patch }) => checkedPatch(entity, patch)).reduce(mergePatches),
    auditRows,
    deliveries,
    events: changes.map(({ event }) => event),
    jobs: outboxJobs.map(outboxColumns),
    handedOver,
  };
}

function outboxColumns({ queue, name, jobId, payload, delayMs = 0 }: OutboxJob) {
  return { queue, job_name: name, job_id: jobId, payload, delay_ms: delayMs };
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
