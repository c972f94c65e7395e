import { Worker } from 'bullmq';
import { createGatewayCall } from '../support/gateway-call.ts';
import type { BenchRequest } from '../support/tokenization-request.ts';
import { queueName, readWorkerInput, sayUp } from '../support/worker-input.ts';

/** BullMQ and the call, with nothing stored: no design that keeps a row can be faster. */
const { redisUrl, prefix, gatewayUrl, concurrency } = readWorkerInput();
const call = createGatewayCall(gatewayUrl, concurrency);
const worker = new Worker<BenchRequest>(queueName, async ({ data }) => void (await call(data)), {
  connection: { url: redisUrl },
  prefix,
  concurrency,
});
await worker.waitUntilReady();
sayUp();
