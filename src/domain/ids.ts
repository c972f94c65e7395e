import { AppError } from './errors.ts';

/** The first part of a job id that `jobId` makes. */
export type JobKind =
  | 'request'
  | 'confirm'
  | 'disable'
  | 'callback'
  | 'notify'
  | 'deliver'
  | 'refresh'
  | 'urgent'
  | 'enqueue'
  | 'redrive';

const jobIdShape = /^[a-z]{6,8}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-g\d{1,9}$/;

/**
 * The BullMQ id of a job about one entity. All ids are made here, because BullMQ rejects ids that
 * are all digits or hold a colon, and breaks on ids that equal its own key names (`wait`, `meta`).
 *
 * `generation` is the version of the entity that the job is about. BullMQ ignores a second job with
 * the same id, so adding the same work twice has no effect, and a newer version is a new job.
 */
export function jobId(kind: JobKind, entityId: string, generation: number): string {
  const id = `${kind}-${entityId}-g${generation}`;
  if (!jobIdShape.test(id)) {
    throw new AppError('internal', 'A job id is not of the form kind-uuid-g<generation>.');
  }
  return id;
}

/** Whether a text has the form of an id made by `jobId`. */
export function isJobId(text: string): boolean {
  return jobIdShape.test(text);
}
