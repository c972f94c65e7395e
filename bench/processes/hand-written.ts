import { Worker } from 'bullmq';
import { createHandWrittenWork } from '../support/hand-written-work.ts';
import type { BenchRequest } from '../support/tokenization-request.ts';
import { queueName, readWorkerInput, sayUp } from '../support/worker-input.ts';

/** BullMQ and one transaction per change, as a team writes it by hand. */
const input = readWorkerInput();
const work = createHandWrittenWork(input);
const worker = new Worker<BenchRequest>(queueName, async ({ data }) => await work(data), {
  connection: { url: input.redisUrl },
  prefix: input.prefix,
  concurrency: input.concurrency,
});
await worker.waitUntilReady();
sayUp();
