import { Logger, run } from 'graphile-worker';
import { createHandWrittenWork } from '../support/hand-written-work.ts';
import type { BenchRequest } from '../support/tokenization-request.ts';
import { queueName, readWorkerInput, sayUp } from '../support/worker-input.ts';

/** graphile-worker with batches, as its manual recommends for speed, and the hand-written work. */
const input = readWorkerInput();
const work = createHandWrittenWork(input);
await run({
  connectionString: input.databaseUrl,
  taskList: { [queueName]: async (payload) => await work(payload as BenchRequest) },
  logger: new Logger(() => () => undefined),
  preset: {
    worker: {
      concurrentJobs: input.concurrency,
      localQueue: { size: input.concurrency + 1 },
      completeJobBatchDelay: 0,
    },
  },
});
sayUp();
