import type { BenchServices } from './bench-services.ts';
import { openBullmqJobs } from './bullmq-jobs.ts';
import { startChildProcess } from './child-process.ts';
import type { Contestant } from './contestant.ts';
import { workerEnv } from './worker-input.ts';

/** A contestant whose jobs come from BullMQ. */
export interface BullmqProgram extends Pick<Contestant, 'name' | 'countRows'> {
  readonly file: URL;
  /** A word for its keys in Redis. */
  readonly key: string;
  readonly concurrency: number;
}

/** Starts the program as a worker of a queue of its own. */
export async function startBullmqContestant(
  { databaseUrl, redis, gateway, prefix }: BenchServices,
  { file, key, concurrency, ...rest }: BullmqProgram,
): Promise<Contestant> {
  const redisPrefix = `${prefix}-${key}`;
  const input = { databaseUrl, redisUrl: redis.url, prefix: redisPrefix, concurrency };
  const worker = await startChildProcess(
    file,
    [],
    workerEnv({ ...input, gatewayUrl: gateway.url }),
  );
  const jobs = openBullmqJobs(redis.url, redisPrefix, 'request', { removeOnComplete: true });
  return {
    ...rest,
    workers: [worker],
    enqueue: jobs.add,
    isQueueEmpty: jobs.isEmpty,
    redisPrefix,
    async close() {
      await worker.kill();
      await jobs.close();
    },
  };
}
