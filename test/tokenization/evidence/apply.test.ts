import { describe, expect } from 'vitest';
import { test } from '../../support/harness/harness-test.ts';
import { redirectWithoutPush } from '../../support/harness/job-harness.ts';

describe('evidence before the first result', () => {
  test('a message that arrives before the reply to the request waits for that reply', async ({
    openJobHarness,
  }) => {
    const results: string[] = [];
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          results.push((await harness.receive(id, 'redirect', { status: '0' })).result);
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush, false);
    const push = { status: '0', isProven: true } as const;
    results.push((await harness.receive(id, 'notify', push)).result);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(results).toEqual(['request_in_flight', 'request_in_flight']);
    expect((await harness.row(id)).state).toBe('awaiting_customer');
  });

  test.for(['redirect', 'notify'] as const)(
    'a success by %s makes the worker query, and the answer activates the token',
    async (channel, { openJobHarness }) => {
      const { open, receive, confirm, decide, row } = await openJobHarness();
      const { id } = await open(redirectWithoutPush);
      const quickpayId = await decide(id, 'approve');
      await receive(id, channel, { status: '1', quickpayId });
      expect((await row(id)).state).toBe('confirming');
      await confirm(id);
      expect((await row(id)).state).toBe('active');
    },
  );

  test('under the confirm policy "signed", a proven push activates the token without a query', async ({
    openJobHarness,
  }) => {
    const { open, receive, decide, row } = await openJobHarness({
      settings: { confirmPolicy: 'signed' },
    });
    const { id } = await open(redirectWithoutPush);
    const quickpayId = await decide(id, 'approve');
    await receive(id, 'notify', { status: '1', quickpayId, isProven: true });
    expect((await row(id)).state).toBe('active');
  });

  test('an unproven push does not activate a token, not even under the policy signed', async ({
    openJobHarness,
  }) => {
    const { open, receive, confirm, row } = await openJobHarness({
      settings: { confirmPolicy: 'signed' },
    });
    const { id } = await open(redirectWithoutPush);
    await receive(id, 'notify', { status: '1', quickpayId: 'made-up' });
    await confirm(id);
    expect(await row(id)).toMatchObject({ state: 'confirming', quickpay_id_sealed: null });
  });

  test('a proven push with a failure fails the tokenization', async ({ openJobHarness }) => {
    const { open, receive, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await receive(id, 'notify', { status: '0', isProven: true });
    expect((await row(id)).state).toBe('failed');
  });

  test('a redirect with a failure only makes the worker query', async ({ openJobHarness }) => {
    const { open, receive, confirm, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await receive(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('confirming');
    await confirm(id);
    expect((await row(id)).state).toBe('confirming');
  });

  test('a proven push with status pending extends the deadline once', async ({
    openJobHarness,
  }) => {
    const { open, receive, row, events } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    const push = { status: '-1', isProven: true } as const;
    expect((await receive(id, 'notify', push)).result).toBe('deadline_extended');
    expect((await receive(id, 'redirect', { status: '-1' })).result).toBe('still_pending');
    expect((await row(id)).state).toBe('awaiting_customer');
    expect((await events(id)).filter((event) => event === 'evidence.pending')).toHaveLength(1);
  });

  test.for([
    ['amount_mismatch', { order_amount: '0.01' }],
    ['currency_mismatch', { order_currency: 'USD' }],
    ['order_reference_mismatch', { order_reference_id: '2601010000000000' }],
    ['grammar', { order_amount: '1e2' }],
  ] as const)(
    'a message that does not match its request is rejected and changes no tokenization: %s',
    async ([reason, fields], { openJobHarness }) => {
      const { open, receive, row } = await openJobHarness();
      const before = await open(redirectWithoutPush);
      const { callback } = await receive(before.id, 'notify', { status: '0', fields });
      expect(callback).toMatchObject({ state: 'rejected', reason });
      expect(await row(before.id)).toEqual(before);
    },
  );

  test('unverified senders cannot use up the query schedule', async ({ openJobHarness }) => {
    const { open, confirm, receive, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    for (const quickpayId of ['a1', 'a2', 'a3', 'a4']) {
      await receive(id, 'redirect', { status: '1', quickpayId });
      await confirm(id);
    }
    expect(await row(id)).toMatchObject({ state: 'confirming', reconcile_step: 0, version: 4 });
  });
});

describe('evidence after a result', () => {
  test.for([
    ['expired', 'redirect'],
    ['failed', 'notify'],
  ] as const)(
    'a late success activates a tokenization that is %s, once the gateway confirms it: by %s',
    async ([end, by], { openJobHarness }) => {
      const { open, receive, confirm, decide, passDeadline, row, events } = await openJobHarness();
      const { id } = await open(redirectWithoutPush);
      if (end === 'expired') {
        await passDeadline(id);
        await confirm(id);
      } else await receive(id, 'notify', { status: '0', isProven: true });
      expect((await row(id)).state).toBe(end);
      const quickpayId = await decide(id, 'approve');
      await receive(id, by, { status: '1', quickpayId, isProven: by === 'notify' });
      // A proven push restarts the query schedule. A redirect makes the judging job itself query.
      expect((await row(id)).state).toBe(by === 'notify' ? end : 'active');
      if (by === 'notify') await confirm(id);
      expect((await row(id)).state).toBe('active');
      expect((await events(id)).at(-1)).toBe('tokenization.activated');
    },
  );

  test('a repeated success raises the count of its message and changes no tokenization', async ({
    openJobHarness,
  }) => {
    const { open, receive, confirm, decide, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    const quickpayId = await decide(id, 'approve');
    await confirm(id);
    const before = await row(id);
    await receive(id, 'redirect', { status: '1', quickpayId });
    const { callback } = await receive(id, 'redirect', { status: '1', quickpayId });
    expect(callback.seen_count).toBe(2);
    expect(await row(id)).toEqual(before);
  });
});
