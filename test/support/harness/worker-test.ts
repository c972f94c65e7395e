import { test as base } from './fixtures.ts';
import { startWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';
import { anyBackend, startTestWorker, type TestWorker, type TestWorkerOptions } from './worker.ts';

/** Starts a worker on the test's database. Skips the test where the backend is missing. */
export type StartWorker = (
  options?: Partial<Omit<TestWorkerOptions, 'databaseUrl'>>,
) => Promise<TestWorker>;

/** Tests with a whole worker, on any backend by default, and with a webhook receiver. */
export const test = base
  .extend('startWorker', async ({ databaseUrl, skip }, { onCleanup }): Promise<StartWorker> => {
    const workers: TestWorker[] = [];
    onCleanup(async () => {
      for (const worker of workers) await worker.close();
    });
    return async (options = {}) => {
      const worker = await startTestWorker({ databaseUrl, backend: anyBackend(), ...options });
      if (worker === undefined) return skip('no Redis: this test did not run on Redis');
      workers.push(worker);
      return worker;
    };
  })
  .extend('receiver', async ({}, { onCleanup }): Promise<WebhookReceiver> => {
    const receiver = await startWebhookReceiver();
    onCleanup(receiver.close);
    return receiver;
  });
