import { runJob } from './run-job.ts';
import type { TokenHarness } from './token-harness.ts';
import type { OutboxJob } from '../../../src/domain/outbox-job.ts';

/** Runs `access-token.scan` once and returns the jobs that it enqueued. */
export async function runTokenScan({ dependencies }: TokenHarness): Promise<readonly OutboxJob[]> {
  const enqueued: OutboxJob[] = [];
  await runJob(
    'access-token.scan',
    {},
    {
      ...dependencies,
      enqueue: async (jobs) => {
        enqueued.push(...jobs);
        await dependencies.enqueue(jobs);
      },
    },
  );
  return enqueued;
}
