import { TokenClientError } from '../client/client-error.ts';
import { type BackendJobName, backendJobs } from '../domain/backend-jobs.ts';
import { type BackendPayload, withVersion } from './backend-payload.ts';

/** A queue of BullMQ, 5 or 6, as the caller made it. */
export interface JobQueue {
  readonly name: string;
  add(name: string, data: unknown): Promise<unknown>;
}

/**
 * Checks a payload and adds its job to a BullMQ queue of the caller's own. Such a job is accepted when the worker has taken it: until then it is as
 * durable as that Redis, and its content is in the clear there. Throws `job_unknown` where the job belongs on another queue.
 */
export async function addToQueue<Name extends BackendJobName>(
  queue: JobQueue,
  jobName: Name,
  payload: BackendPayload<Name>,
): Promise<void> {
  const versioned = withVersion(jobName, payload);
  const belongsOn = backendJobs[jobName].queue;
  if (queue.name !== belongsOn) {
    throw new TokenClientError(`${jobName} belongs on the queue ${belongsOn}.`, {
      code: 'job_unknown',
      paths: ['queue'],
      isRetryable: false,
    });
  }
  await queue.add(jobName, versioned);
}
