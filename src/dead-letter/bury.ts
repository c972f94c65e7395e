import { z } from 'zod';
import { findDeadLetter } from '../db/dead-letters.ts';
import type { ErrorCode } from '../domain/errors.ts';
import { derivedId } from '../security/derived-id.ts';
import type { RunningJob } from '../execution/define-job.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** Why a job went to the dead letters. */
export interface Burial {
  readonly code: ErrorCode;
  readonly paths: readonly string[];
}

/**
 * Commits a failed job to the dead letters with its payload sealed, so that it survives the loss of
 * the queue. The dead letter's id is derived from the job and its payload: burying a job twice
 * gives one dead letter, and a job that reuses a number of an emptied queue gets its own.
 */
export async function buryJob(
  { db, door, keyring }: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  job: Omit<RunningJob, 'queue'> & { readonly queue: string },
  payload: unknown,
  { code, paths }: Burial,
): Promise<string> {
  const earlierId = await findEarlierBurial(db, payload);
  if (earlierId !== undefined) return earlierId;
  const id = derivedId(job.queue, job.id, JSON.stringify(payload ?? null));
  await door.apply({
    entity: 'dead_letter',
    row: { id, version: 0, state: null },
    event: 'dead_letter.buried',
    patch: {
      queue: job.queue,
      job_name: job.name,
      job_id: job.id,
      code,
      paths,
      payload_sealed: keyring.seal(
        sealedPlace('dead_letter', 'payload_sealed', id),
        JSON.stringify(payload ?? null),
      ),
      attempts: job.attempt,
    },
    audit: {
      actor: { type: 'worker', id: 'queues' },
      queue: job.queue,
      jobId: job.id,
      attempt: job.attempt,
      reason: code,
      detail: { paths },
    },
  });
  return id;
}

/** The payload that replaces a buried job's own on the queue. */
export function burialPayload(deadLetterId: string): Readonly<Record<string, unknown>> {
  return { v: 1, deadLetterId };
}

const burialPayloadSchema = z.strictObject({ v: z.literal(1), deadLetterId: z.uuid() });

/** Finds the dead letter of a job whose worker buried it, then died before it told the queue. */
async function findEarlierBurial(
  db: OperationDependencies['db'],
  payload: unknown,
): Promise<string | undefined> {
  const { data } = burialPayloadSchema.safeParse(payload);
  return data && (await findDeadLetter(db, data.deadLetterId))?.id;
}
