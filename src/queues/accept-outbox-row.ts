import type { OutboxRow } from '../db/rows.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { isBackendJobName } from '../domain/payload/backend-jobs.ts';
import { AppError } from '../domain/errors.ts';
import { isJobId } from '../domain/ids.ts';
import { callbackIdPayload, tokenizationIdPayload } from '../domain/payload/job-payloads.ts';
import { acceptCallback } from '../callback/accept.ts';
import { acceptTokenization } from '../tokenization/request/accept.ts';
import { disableToken } from '../tokenization/token/disable.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { inboundMessageOf } from '../callback/raw.ts';
import { parsePayload } from '../domain/payload/payload-paths.ts';
import { findJob } from '../jobs/registry.ts';
import { type OutboxJob, judgeJob, requestJob } from '../domain/outbox-job.ts';

/**
 * An accepted outbox row. `ready`: its job goes onto its queue unchanged. `sealed`: its content is
 * sealed in PostgreSQL, and the job's payload holds only the id of that sealed row. `settled`:
 * everything is committed already.
 */
export type AcceptedRow =
  | { readonly kind: 'ready'; readonly job: OutboxJob }
  | { readonly kind: 'sealed'; readonly job: OutboxJob }
  | { readonly kind: 'settled' };

/**
 * Accepts one outbox row. Rows that a backend enqueued by SQL or an operator redrives pass through
 * the same operations as requests over HTTP: their content is sealed in PostgreSQL and only an id
 * reaches the queue, so that an emptied queue loses nothing.
 *
 * Accepting a row twice gives the same job. Throws an input fault (`isInputFault`) or
 * `state_forbids` for a row that can never be accepted, and any other error for one that may be
 * accepted later.
 */
export async function acceptOutboxRow(
  dependencies: OperationDependencies,
  row: OutboxRow,
): Promise<AcceptedRow> {
  assertKnown(row);
  if (!isBackendJobName(row.job_name) || isOwnJob(row)) return ready(row);
  switch (row.job_name) {
    case 'tokenization.request':
      return await acceptRequest(dependencies, row);
    case 'callback.verify':
      return await acceptMessage(dependencies, row, 'redirect');
    case 'notify.handle':
      return await acceptMessage(dependencies, row, 'notify');
    case 'token.disable':
      await disableToken(
        dependencies,
        parsePayload(row.job_name, row.payload),
        callerOf(row).audit,
      );
      return { kind: 'settled' };
    case 'access-token.refresh':
      // The parse refuses any field besides the credential's name and the generation.
      parsePayload(row.job_name, row.payload);
      return ready(row);
  }
}

function assertKnown(row: OutboxRow): void {
  const definition = findJob(row.job_name);
  if (definition === undefined) {
    throw new AppError('job_unknown', 'There is no job of this name.', { paths: ['name'] });
  }
  if (definition.queue !== row.queue || !isJobId(row.job_id)) {
    const paths = [definition.queue === row.queue ? 'jobId' : 'queue'];
    throw new AppError('job_unknown', 'The job has the wrong queue or a malformed id.', { paths });
  }
}

/** Jobs of the worker contain only ids. A `token.disable` by SQL is audited under its caller. */
function isOwnJob({ job_name: name, enqueue_id: enqueueId, payload }: OutboxRow): boolean {
  if (name === 'token.disable' && enqueueId !== null) return false;
  return byId.some((schema) => schema.safeParse(payload).success);
}

const byId = [tokenizationIdPayload, callbackIdPayload] as const;

function ready(row: OutboxRow): AcceptedRow {
  const { queue, job_name: name, job_id: jobId, payload } = row;
  return { kind: 'ready', job: { queue, name, jobId, payload } };
}

async function acceptRequest(
  dependencies: OperationDependencies,
  row: OutboxRow,
): Promise<AcceptedRow> {
  const payload = parsePayload('tokenization.request', row.payload);
  const { tokenization } = await acceptTokenization(dependencies, payload, {
    ...callerOf(row),
    isContinuedByCaller: true,
  });
  // A request with this reference is already under way or has ended.
  if (tokenization.state !== 'requested') return { kind: 'settled' };
  return { kind: 'sealed', job: requestJob(tokenization.id, tokenization.version) };
}

async function acceptMessage(
  dependencies: OperationDependencies,
  row: OutboxRow,
  channel: 'redirect' | 'notify',
): Promise<AcceptedRow> {
  const name = channel === 'notify' ? 'notify.handle' : 'callback.verify';
  const payload = parsePayload(name, row.payload);
  const { id, version } = await acceptCallback(dependencies, inboundMessageOf(channel, payload), {
    ...callerOf(row),
    isContinuedByCaller: true,
  });
  return { kind: 'sealed', job: judgeJob(channel, id, version) };
}

/** The caller, for the audit trail, and the id that it received. */
function callerOf(row: OutboxRow): { audit: AuditContext; id?: string } {
  return {
    audit: {
      actor: { type: 'backend', id: row.enqueue_id === null ? 'queue' : `sql:${row.enqueued_by}` },
      queue: row.queue,
      jobId: row.job_id,
      attempt: row.tries,
    },
    ...(row.enqueue_id === null ? {} : { id: row.enqueue_id }),
  };
}
