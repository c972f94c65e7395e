import type { OperationDependencies } from '../execution/dependencies.ts';
import type { AuditContext } from '../domain/audit-entry.ts';
import { findDeadLetter } from '../db/dead-letters.ts';
import { AppError } from '../domain/errors.ts';
import { jobId } from '../domain/ids.ts';
import { sealedPlace } from '../db/sealed-place.ts';

/**
 * Puts a dead letter back on its queue. The job gets a new id, because the queue would drop it as a
 * duplicate of the old one. Throws `dead_letter_not_found`, or `state_forbids` when it was redriven
 * before.
 */
export async function redriveJob(
  { db, door, keyring }: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  id: string,
  audit: Pick<AuditContext, 'actor' | 'traceId'>,
): Promise<void> {
  const row = await findDeadLetter(db, id);
  if (row === undefined) {
    throw new AppError('dead_letter_not_found', 'No dead letter has this id.');
  }
  const sealed = row.payload_sealed ?? '';
  // A payload that is no object fails its job's schema again.
  const payload = JSON.parse(
    keyring.open(sealedPlace('dead_letter', 'payload_sealed', id), sealed).reveal(),
  ) as Record<string, unknown>;
  const outcome = await door.apply({
    entity: 'dead_letter',
    row,
    event: 'dead_letter.redriven',
    patch: { redrives: row.redrives + 1 },
    audit: { ...audit, queue: row.queue, jobId: row.job_id },
    jobs: [
      {
        queue: row.queue,
        name: row.job_name,
        jobId: jobId('redrive', id, row.redrives + 1),
        payload,
      },
    ],
  });
  if (!outcome.isApplied) {
    throw new AppError(
      'state_forbids',
      'This dead letter was redriven by another call at the same time.',
    );
  }
}
