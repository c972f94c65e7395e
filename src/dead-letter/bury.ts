import { z } from 'zod';
import { findDeadLetter } from '../db/dead-letters.ts';
import type { ErrorCode } from '../domain/errors.ts';
import { derivedId } from '../security/derived-id.ts';
import type { RunningJob } from '../execution/define-job.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/** Why a job ended in dead letters. */
export interface Burial {
  readonly code: ErrorCode;
  readonly paths: readonly string[];
}

/**
 * Commits a job that can't be done to the dead letters, with its payload sealed, so that nothing is lost even when the queue is. The id
 * follows from the job and its payload, so burying twice is one dead letter, while a backend's job that got a number as its id
 * is not taken for the one that had it before the queue was emptied.
 */
export async function buryJob(
  { db, door, keyring }: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  job: Omit<RunningJob, 'queue'> & { readonly queue: string },
  payload: unknown,
  { code, paths }: Burial,
): Promise<string> {
  const before = await findBurial(db, payload);
  if (before !== undefined) return before;
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

/** What stays on the queue of a job that was buried. */
export function burialPayload(deadLetterId: string): Readonly<Record<string, unknown>> {
  return { v: 1, deadLetterId };
}

const burialForm = z.strictObject({ v: z.literal(1), deadLetterId: z.uuid() });

/** The dead letter of a job that was buried, and whose worker died before the queue knew. */
async function findBurial(
  db: OperationDependencies['db'],
  payload: unknown,
): Promise<string | undefined> {
  const { data } = burialForm.safeParse(payload);
  return data && (await findDeadLetter(db, data.deadLetterId))?.id;
}
