import { TokenClientError } from '../client/client-error.ts';
import { type BackendJobName, backendJobs } from '../domain/payload/backend-jobs.ts';
import { type BackendPayload, withVersion } from './backend-payload.ts';

/** The caller's BullMQ queue, of version 5 or 6. */
export interface JobQueue {
  readonly name: string;
  add(name: string, data: unknown): Promise<unknown>;
}

/**
 * Validates a payload and adds its job to the caller's BullMQ queue. Until the worker takes the
 * job, it is only as durable as that Redis, and its content is there in plain text. Throws
 * `job_unknown` if the job belongs to another queue.
 */
export async function addToQueue<Name extends BackendJobName>(
  queue: JobQueue,
  jobName: Name,
  payload: BackendPayload<Name>,
): Promise<void> {
  const versioned = withVersion(jobName, payload);
  const belongsOn = backendJobs[jobName].queue;
  if (queue.name !== belongsOn) {
    throw new TokenClientError(`Add ${jobName} to the queue ${belongsOn}.`, {
      code: 'job_unknown',
      paths: ['queue'],
      isRetryable: false,
    });
  }
  await queue.add(jobName, versioned);
}
