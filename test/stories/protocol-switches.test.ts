import { describe, expect } from 'vitest';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { eventually } from '../support/eventually.ts';
import { openShop } from '../support/harness/shop.ts';
import { test } from '../support/harness/worker-test.ts';

type Faults = NonNullable<SandboxOptions['faults']>;

/** No query is scheduled soon, so that only messages lead to one. */
const unscheduled = {
  RECONCILE_SCHEDULE_MS: '3000000',
  AWAITING_CUSTOMER_DEADLINE_MS: '86400000',
};
const words = { '1': 'USABLE', '0': 'BROKEN', '-1': 'OPEN' };
const statusMap = 'USABLE=active,BROKEN=failed,OPEN=pending';

describe('status words', () => {
  test.for<[string, string, Faults, Record<string, string>, string]>([
    ['a success in the usual words', 'approve', {}, {}, 'active'],
    ['a failure in the usual words', 'decline', {}, {}, 'failed'],
    [
      'a success in configured words',
      'approve',
      { statusWords: words },
      { GATEWAY_STATUS_MAP: statusMap },
      'active',
    ],
    [
      'a failure in configured words',
      'decline',
      { statusWords: words },
      { GATEWAY_STATUS_MAP: statusMap },
      'failed',
    ],
  ])(
    '%s is read in replies and pushes',
    async ([, decision, faults, env, end], { startWorker }) => {
      const worker = await startWorker({ sandbox: { faults }, env: { ...unscheduled, ...env } });
      const shop = openShop(worker);
      await shop.accept({ referenceId: 'words', remark: 'sandbox:redirect' });
      await shop.decide(await shop.until('words', 'awaiting_customer'), decision);
      await shop.until('words', end);
      const { db } = worker.app.operations;
      const [callback] = await eventually('the push is accepted', async () => {
        const rows = await db.selectFrom('callback').selectAll().execute();
        return rows.every(({ state }) => state === 'accepted') && rows;
      });
      expect(callback?.reason).toBeNull();
    },
  );

  test('a direct reply in configured words activates; in unknown words it stays unknown', async ({
    startWorker,
  }) => {
    const faults = { statusWords: words };
    const worker = await startWorker({
      sandbox: { faults },
      env: { ...unscheduled, GATEWAY_STATUS_MAP: statusMap },
    });
    const shop = openShop(worker);
    await shop.accept({ referenceId: 'known', remark: 'sandbox:direct' });
    await shop.until('known', 'active');
    worker.sandbox.setFaults({ statusWords: { ...words, '1': 'ODD' } });
    await shop.accept({ referenceId: 'odd', remark: 'sandbox:direct+dropped' });
    const row = await shop.until('odd', 'confirming');
    expect([row.attempt, row.quickpay_id_sealed]).toEqual([1, null]);
  });

  test('an unknown word in a push decides nothing, and the gateway is queried about the token', async ({
    startWorker,
  }) => {
    const worker = await startWorker({ env: unscheduled });
    const shop = openShop(worker);
    await shop.accept({ referenceId: 'odd', remark: 'sandbox:redirect+dropped' });
    const row = await shop.until('odd', 'awaiting_customer');
    await shop.decide(row, 'approve');
    await shop.forge('notify', {
      merchant_reference_id: 'odd',
      quickpay_id: 'made-up',
      quickpay_status: 'PAID',
    });
    await shop.until('odd', 'active');
    const { db } = worker.app.operations;
    const callback = await eventually('there is a verdict', async () => {
      const [only] = await db.selectFrom('callback').selectAll().execute();
      return only?.state === 'rejected' && only;
    });
    expect(callback.reason).toBe('unknown_status');
  });
});

describe('encodings of the gateway', () => {
  test('replies in each of them are read', async ({ startWorker }) => {
    const worker = await startWorker();
    const shop = openShop(worker);
    for (const replyEnvelope of ['plain', 'bom', 'utf-16', 'gzip', 'data-as-text'] as const) {
      worker.sandbox.setFaults({ replyEnvelope });
      await shop.accept({ referenceId: replyEnvelope, remark: 'sandbox:redirect+dropped' });
      const row = await shop.until(replyEnvelope, 'awaiting_customer');
      await shop.decide(row, 'approve');
      await shop.until(replyEnvelope, 'active');
    }
  });

  test('pushes in each of them are read', async ({ startWorker }) => {
    const worker = await startWorker({ env: unscheduled });
    const shop = openShop(worker);
    for (const pushFormat of ['xml', 'json', 'form', 'multipart'] as const) {
      worker.sandbox.setFaults({ pushFormat });
      await shop.accept({ referenceId: pushFormat, remark: 'sandbox:approve' });
      await shop.until(pushFormat, 'active');
    }
  });

  test('an answer with unreadable data never lets a lost request be sent again', async ({
    startWorker,
  }) => {
    const worker = await startWorker({ env: { RECONCILE_SCHEDULE_MS: '50,50,50,50,3000000' } });
    const shop = openShop(worker);
    worker.sandbox.setFaults({ replyEnvelope: 'unreadable-data' });
    await shop.accept({ referenceId: 'lost', remark: 'sandbox:redirect+lost-reply' });
    await eventually('it was queried four times', () => worker.sandbox.state().calls.query >= 4);
    expect(worker.sandbox.state().calls.create).toBe(1);
    expect(await shop.until('lost', 'submit_unknown')).toMatchObject({ attempt: 1 });
    worker.sandbox.setFaults({ replyEnvelope: 'plain' });
  });
});

describe('the expiry of a token', () => {
  test.for<[string, string, Record<string, string>, string]>([
    ['a date', '2030-10-01', {}, '2030-09-30T16:00:00.000Z'],
    [
      'a date with a time of day, in another zone and with a margin',
      '2030-10-01 12:00:00',
      { EXPIRY_ZONE: 'Europe/Berlin', EXPIRY_SAFETY_MS: '3600000' },
      '2030-10-01T09:00:00.000Z',
    ],
  ])('as %s is read', async ([, expiryTime, env, expiresAt], { startWorker }) => {
    const worker = await startWorker({ sandbox: { faults: { expiryTime } }, env });
    const shop = openShop(worker);
    const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
    const row = await eventually('the expiry is known', async () => {
      const active = await shop.until(tokenization.merchant_reference_id, 'active');
      return active.expires_at !== null && active;
    });
    expect(row.expires_at?.toISOString()).toBe(expiresAt);
  });

  test('that cannot be read is logged, by its form and without its values', async ({
    startWorker,
  }) => {
    const worker = await startWorker({ sandbox: { faults: { expiryTime: '0000-00-00' } } });
    const shop = openShop(worker);
    const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
    const line = await eventually('it is logged', () =>
      worker.logs.find((entry) => entry.includes('expiryTime')),
    );
    expect(JSON.parse(line)).toMatchObject({
      tokenizationId: tokenization.id,
      shape: '9999-99-99',
    });
    expect(await shop.until(tokenization.merchant_reference_id, 'active')).toMatchObject({
      expires_at: null,
    });
  });
});
