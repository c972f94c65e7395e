import { type QueueName, queueNames } from '../domain/queue-names.ts';
import type { QueueBackend } from './backend.ts';

/** How many jobs of a queue are in one state. */
export interface QueueDepth {
  readonly queue: QueueName;
  readonly state: string;
  readonly jobs: number;
}

/** The depth of every queue by state. */
export async function readQueueDepths(backend: QueueBackend): Promise<readonly QueueDepth[]> {
  const depths = await Promise.all(
    queueNames.map(async (queue) => {
      const counts = await backend
        .queue(queue)
        .getJobCounts('waiting', 'active', 'delayed', 'failed', 'completed', 'prioritized');
      return Object.entries(counts).map(([state, jobs]) => ({ queue, state, jobs }));
    }),
  );
  return depths.flat();
}
