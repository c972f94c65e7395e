import { type JobsOptions, Queue } from 'bullmq';
import { requestOf } from './tokenization-request.ts';
import { queueName } from './worker-input.ts';

/** Raw BullMQ jobs, added as a backend adds them. */
export interface BullmqJobs {
  readonly add: (references: readonly string[]) => Promise<void>;
  readonly isEmpty: () => Promise<boolean>;
  readonly close: () => Promise<void>;
}

const jobsPerCall = 500;

/** Opens a queue of requests. */
export function openBullmqJobs(
  redisUrl: string,
  prefix: string,
  name: string,
  opts: JobsOptions = {},
): BullmqJobs {
  const queue = new Queue(queueName, { connection: { url: redisUrl }, prefix });
  return {
    async add(references) {
      const jobs = references.map((reference) => ({ name, data: requestOf(reference), opts }));
      for (let start = 0; start < jobs.length; start += jobsPerCall) {
        await queue.addBulk(jobs.slice(start, start + jobsPerCall));
      }
    },
    async isEmpty() {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'prioritized');
      return Object.values(counts).every((count) => count === 0);
    },
    async close() {
      await queue.obliterate({ force: true });
      await queue.close();
    },
  };
}
