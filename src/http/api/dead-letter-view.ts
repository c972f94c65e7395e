import type { z } from 'zod';
import type { DeadLetterRow } from '../../db/rows.ts';
import type { deadLetterView } from '../../domain/payload/api-shapes.ts';

/** A dead letter as the API shows it: the job and its fault, never its payload. */
export function deadLetterViewOf(row: DeadLetterRow): z.input<typeof deadLetterView> {
  return {
    id: row.id,
    state: row.state,
    queue: row.queue,
    jobName: row.job_name,
    jobId: row.job_id,
    code: row.code,
    paths: [...row.paths],
    attempts: row.attempts,
    redrives: row.redrives,
    createdAt: row.created_at.toISOString(),
  };
}
