import { PgBoss } from 'pg-boss';
import type { BenchServices } from '../support/bench-services.ts';
import { startChildProcess } from '../support/child-process.ts';
import type { Contestant } from '../support/contestant.ts';
import { countHandWrittenRows } from '../support/hand-written-work.ts';
import { requestOf } from '../support/tokenization-request.ts';
import { queueName, workerEnv } from '../support/worker-input.ts';

/** pg-boss, with the same work as hand-written. */
export async function startPgBoss(
  { databaseUrl, client, redis, gateway, prefix }: BenchServices,
  concurrency: number,
): Promise<Contestant> {
  const input = { databaseUrl, redisUrl: redis.url, prefix, gatewayUrl: gateway.url, concurrency };
  const file = new URL('../processes/pg-boss.ts', import.meta.url);
  const worker = await startChildProcess(file, [], workerEnv(input));
  const producer = new PgBoss({ connectionString: databaseUrl, supervise: false, schedule: false });
  await producer.start();
  return {
    name: 'pg-boss',
    workers: [worker],
    isPolling: true,
    async enqueue(references) {
      await producer.insert(
        queueName,
        references.map((reference) => ({ data: requestOf(reference) })),
      );
    },
    async isQueueEmpty() {
      const { rows } = await client.query(
        `select from pgboss.job where name = $1 and state < 'completed' limit 1`,
        [queueName],
      );
      return rows.length === 0;
    },
    countRows: async (of) => await countHandWrittenRows(client, of),
    async close() {
      await worker.kill();
      await producer.stop();
    },
  };
}
