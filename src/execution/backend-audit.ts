import type { AuditContext } from '../domain/audit-entry.ts';
import type { RunningJob } from './define-job.ts';

/** The audit entry for the content of a job that a backend added to a queue itself. */
export function backendJobAudit({ queue, id, attempt }: RunningJob): AuditContext {
  return { actor: { type: 'backend', id: 'queue' }, queue, jobId: id, attempt };
}
