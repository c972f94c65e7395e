import { AppError } from './errors.ts';

/** Kinds of jobs that carry an id of our own making. */
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
 * The BullMQ id of a job about one entity. BullMQ rejects ids that are all digits or hold a colon, and an id that equals
 * one of its own key names (`wait`, `events`, `meta` ..) breaks the queue, so ids are made here and nowhere else.
 *
 * `generation` is the version of the entity that the job is about: work for a newer version is a new job, while adding
 * the same work twice is a no-op.
 */
export function jobId(kind: JobKind, entityId: string, generation: number): string {
  const id = `${kind}-${entityId}-g${generation}`;
  if (!jobIdShape.test(id)) {
    throw new AppError('internal', 'A job id is not of the form kind-uuid-g<generation>.');
  }
  return id;
}

/** Whether a text is a job id that `jobId` may have made. */
export function isJobId(text: string): boolean {
  return jobIdShape.test(text);
}
