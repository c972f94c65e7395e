import { describe, expect } from 'vitest';
import { findAuditBreaks, findTimeline } from '../../../src/db/audit.ts';
import type { TokenizationRow } from '../../../src/db/rows.ts';
import { disableToken } from '../../../src/tokenization/token/disable.ts';
import { eventually } from '../../support/eventually.ts';
import { openShop, type Shop } from '../../support/harness/shop.ts';
import { test } from '../../support/harness/worker-test.ts';

const operator = { actor: { type: 'operator', id: 'test' } } as const;

async function activeToken(shop: Shop): Promise<TokenizationRow> {
  const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
  return await shop.until(tokenization.merchant_reference_id, 'active');
}

describe('disabling a token', () => {
  test('repeated requests cancel the token at the gateway once', async ({ startWorker }) => {
    const worker = await startWorker();
    const shop = openShop(worker);
    const { id, merchant_reference_id: reference } = await activeToken(shop);
    const { operations, backend } = worker.app;
    await disableToken(operations, { v: 1, tokenizationId: id }, operator);
    await shop.until(reference, 'disabled');
    const again = await disableToken(
      operations,
      { v: 1, merchantReferenceId: reference },
      operator,
    );
    expect(again.state).toBe('disabled');
    const queue = backend.queue('tokenization');
    await queue.add('token.disable', { v: 1, tokenizationId: id }, { jobId: 'raw-disable' });
    await eventually('the raw job is done', async () => {
      const job = await queue.getJob('raw-disable');
      return job?.returnvalue === undefined || job.returnvalue === null ? undefined : job;
    });
    const events = await findTimeline(operations.db, id);
    expect(events.filter(({ event }) => event === 'token.disabled')).toMatchObject([
      { reason: 'cancelled', detail: { cancelStatus: '1', rawStatus: '0' } },
    ]);
    expect(worker.sandbox.state().calls.cancel).toBe(1);
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test.for([
    { when: 'after it took effect', switches: { errorAfterEffectRate: 1 }, calls: 1 },
    { when: 'before it took effect', switches: { errorRate5xx: 1 }, calls: 2 },
  ])(
    'a query settles a cancellation whose reply was lost $when',
    async ({ switches, calls }, { startWorker }) => {
      const worker = await startWorker();
      const shop = openShop(worker);
      const { id, merchant_reference_id: reference } = await activeToken(shop);
      worker.sandbox.setFaults({ faultEndpoints: ['cancel'], faultAttemptsMax: 1, ...switches });
      await disableToken(worker.app.operations, { v: 1, tokenizationId: id }, operator);
      await shop.until(reference, 'disabled');
      expect(worker.sandbox.state().calls.cancel).toBe(calls);
    },
  );

  test('a failed tokenization is refused with state_forbids', async ({ startWorker }) => {
    const worker = await startWorker();
    const shop = openShop(worker);
    const { tokenization } = await shop.accept({ remark: 'sandbox:refuse' });
    await shop.until(tokenization.merchant_reference_id, 'failed');
    const target = { v: 1, tokenizationId: tokenization.id } as const;
    await expect(disableToken(worker.app.operations, target, operator)).rejects.toMatchObject({
      code: 'state_forbids',
    });
  });
});
