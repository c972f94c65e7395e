import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listCallbacks } from '../../src/db/callbacks.ts';
import { acceptCallback } from '../../src/callback/accept.ts';
import { replayCallback } from '../../src/callback/replay.ts';
import { readAuditEvents } from '../support/audit-events.ts';
import { testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { untilCallback } from '../support/until-callback.ts';
import { test as harnessTest } from '../support/harness/harness-test.ts';
import { openShop } from '../support/harness/shop.ts';
import { test as workerTest } from '../support/harness/worker-test.ts';

const operator = { actor: { type: 'operator', id: 'test' } } as const;

describe('the replay of a stored message', () => {
  workerTest(
    'judges it again, and the first verdict stays in the audit trail',
    async ({ startWorker }) => {
      const worker = await startWorker();
      const { db } = worker.app.operations;
      const shop = openShop(worker);
      const { tokenization } = await shop.accept();
      await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
      await shop.forge('notify', {
        merchant_reference_id: tokenization.merchant_reference_id,
        order_amount: '0.01',
        quickpay_status: '0',
      });
      const { id } = await untilCallback(db, 'rejected');
      const replayed = await replayCallback(worker.app.operations, id, operator);
      expect(replayed).toEqual({ isReplayed: true });
      await eventually(
        'it is judged again',
        async () => (await readAuditEvents(db, id)).length === 4,
      );
      expect(await readAuditEvents(db, id)).toEqual([
        'callback.received',
        'callback.rejected',
        'callback.replayed',
        'callback.rejected',
      ]);
      expect(await findAuditBreaks(db)).toEqual([]);
    },
  );

  workerTest(
    'is refused for a message that names no account, which retention deletes after its time',
    async ({ startWorker }) => {
      const worker = await startWorker({ env: { CALLBACK_REFUSED_MAX_AGE_MS: '1000' } });
      const { db } = worker.app.operations;
      await fetch(`${worker.app.urls?.public}/callbacks/notify`, {
        method: 'POST',
        body: `{"from": "an unverified sender", "filler": "${'x'.repeat(2_000)}"`,
      });
      const { id } = await untilCallback(db, 'rejected');
      await expect(replayCallback(worker.app.operations, id, operator)).rejects.toMatchObject({
        code: 'state_forbids',
      });
      const queue = worker.app.backend.queue('maintenance');
      let runs = 0;
      await eventually('retention has deleted it', async () => {
        runs += 1;
        await queue.add('retention.expire', { v: 1 }, { jobId: `retention-${runs}` });
        return (await listCallbacks(db, undefined, 10)).length === 0;
      });
      expect(await readAuditEvents(db, id)).toEqual(['callback.refused']);
      expect(await findAuditBreaks(db)).toEqual([]);
    },
  );

  harnessTest(
    'works for a reference that PostgreSQL cannot store in full',
    async ({ openJobHarness }) => {
      const { dependencies, account, run } = await openJobHarness();
      const fields = { account: account.account, terminal: account.terminal, quickpay_status: '1' };
      const { id } = await acceptCallback(dependencies, {
        channel: 'notify',
        contentType: 'application/json',
        body: Buffer.from(JSON.stringify({ ...fields, merchant_reference_id: '\ud800' })),
        sourceIp: undefined,
      });
      expect(await run('notify.handle', { callbackId: id })).toBe('rejected_grammar');
      expect(await replayCallback(dependencies, id, { actor: testActor })).toEqual({
        isReplayed: true,
      });
    },
  );
});
