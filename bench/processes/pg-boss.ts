import { PgBoss } from 'pg-boss';
import { createHandWrittenWork } from '../support/hand-written-work.ts';
import type { BenchRequest } from '../support/tokenization-request.ts';
import { queueName, readWorkerInput, sayUp } from '../support/worker-input.ts';

/** With small batches, pg-boss waits for its own fetches most of the time. */
const batchSize = 200;

/**
 * pg-boss and the hand-written work. All jobs of a batch run at once, whatever `concurrency` says;
 * at least two batches overlap.
 */
const input = readWorkerInput();
const work = createHandWrittenWork(input);
const boss = new PgBoss(input.databaseUrl);
boss.on('error', (error) => console.error(error));
await boss.start();
await boss.createQueue(queueName);
const localConcurrency = Math.max(2, Math.ceil(input.concurrency / batchSize));
await boss.work<BenchRequest>(
  queueName,
  { batchSize, localConcurrency, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
  async (jobs) => {
    await Promise.all(jobs.map(async ({ data }) => await work(data)));
  },
);
sayUp();
