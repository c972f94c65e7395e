import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openShop } from '../support/harness/shop.ts';
import { test } from '../support/harness/worker-test.ts';

test('all workers together keep GATEWAY_CALLS_PER_SECOND_MAX, and lose no request to it', async ({
  startWorker,
}) => {
  const calls: number[] = [];
  const worker = await startWorker({
    env: { GATEWAY_CALLS_PER_SECOND_MAX: '10', RECONCILE_SCHEDULE_MS: '600000' },
    sandbox: {
      onEvent: (event) => {
        if (event.type === 'call' && event.endpoint === 'create') calls.push(performance.now());
      },
    },
  });
  await worker.startAnother();
  const shop = openShop(worker);
  const count = 30;
  await Promise.all(
    Array.from({ length: count }, async () => await shop.accept({ remark: 'sandbox:direct' })),
  );
  const { db } = worker.app.operations;
  await eventually('all are active', async () => {
    const rows = await db.selectFrom('tokenization').select(['state', 'attempt']).execute();
    return rows.every(({ state, attempt }) => state === 'active' && attempt === 1);
  });
  expect(calls).toHaveLength(count);
  // Between the first and the last there are 29 gaps of 100 ms.
  expect((calls.at(-1) ?? 0) - (calls[0] ?? 0)).toBeGreaterThan(2_500);
});
