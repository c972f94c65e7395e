import type { OutboxJob } from '../../src/db/transition-door.ts';
import { executeJob } from '../../src/jobs/execute-job.ts';
import { scanAccessTokens } from '../../src/jobs/scan-access-tokens.ts';
import type { TokenDesk } from './token-desk.ts';

/** Runs `access-token.scan` once and gives the jobs that it put on their queue. */
export async function scan({ dependencies }: TokenDesk): Promise<readonly OutboxJob[]> {
  const enqueued: OutboxJob[] = [];
  await executeJob(
    scanAccessTokens,
    {
      job: { queue: 'access-token', name: 'access-token.scan', id: 'desk', attempt: 1 },
      payload: { v: 1 },
      signal: new AbortController().signal,
      replacePayload: async () => await Promise.resolve(),
    },
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
