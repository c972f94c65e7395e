import type { BenchServices } from '../support/bench-services.ts';
import { startChildProcess } from '../support/child-process.ts';
import type { Contestant } from '../support/contestant.ts';
import { countHandWrittenRows } from '../support/hand-written-work.ts';
import { requestOf } from '../support/tokenization-request.ts';
import { queueName, workerEnv } from '../support/worker-input.ts';

/** graphile-worker, with the same work as hand-written. */
export async function startGraphileWorker(
  { databaseUrl, client, redis, gateway, prefix }: BenchServices,
  concurrency: number,
): Promise<Contestant> {
  const input = { databaseUrl, redisUrl: redis.url, prefix, gatewayUrl: gateway.url, concurrency };
  const file = new URL('../processes/graphile-worker.ts', import.meta.url);
  const worker = await startChildProcess(file, [], workerEnv(input));
  return {
    name: 'graphile-worker',
    workers: [worker],
    isPolling: true,
    async enqueue(references) {
      await client.query(
        `select graphile_worker.add_job($1, payload::json) from jsonb_array_elements($2::jsonb) payload`,
        [queueName, JSON.stringify(references.map(requestOf))],
      );
    },
    async isQueueEmpty() {
      const { rows } = await client.query('select from graphile_worker.jobs limit 1');
      return rows.length === 0;
    },
    countRows: async (of) => await countHandWrittenRows(client, of),
    close: worker.kill,
  };
}
