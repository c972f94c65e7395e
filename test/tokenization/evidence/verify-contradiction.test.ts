import { describe, expect } from 'vitest';
import { sealedPlace } from '../../../src/db/sealed-place.ts';
import type { GatewayClient } from '../../../src/gateway/client.ts';
import { test } from '../../support/harness/harness-test.ts';
import type { JobHarness } from '../../support/harness/job-harness.ts';

describe('a failure of an active token', () => {
  test('is not applied while the gateway says that the token works', async ({ openJobHarness }) => {
    const { open, receive, row } = await openJobHarness();
    const { id } = await open('sandbox:direct');
    expect((await receive(id, 'redirect', { status: '0' })).result).toBe('not_confirmed');
    expect((await row(id)).review).toBeNull();
    await receive(id, 'notify', { status: '0', isProven: true });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'failed_after_success' });
  });

  test('disables the token when the gateway calls it unusable', async ({ openJobHarness }) => {
    const { open, receive, row, run, gateway, account, dependencies, events } =
      await openJobHarness();
    const { id, quickpay_id_sealed: sealed } = await open('sandbox:direct');
    const place = sealedPlace('tokenization', 'quickpay_id_sealed', id);
    await gateway.cancelQuickPay(account, dependencies.keyring.open(place, sealed ?? ''));
    await receive(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual([
      'conflict.failed_after_success',
      'token.disabled',
    ]);
    expect(await run('token.disable', { tokenizationId: id })).toBe('already_disabled');
  });

  test('replaces an earlier reason for review', async ({ openJobHarness }) => {
    const { open, receive, row, alter, events } = await openJobHarness();
    const { id } = await open('sandbox:direct');
    await alter(id, `review = 'disable_refused'`);
    await receive(id, 'notify', { status: '0', isProven: true });
    expect((await row(id)).review).toBe('failed_after_success');
    expect((await events(id)).at(-1)).toBe('conflict.failed_after_success');
  });
});

describe('a second token', () => {
  test('is flagged for review when the gateway calls it usable; a made-up id is not', async ({
    openJobHarness,
  }) => {
    const { open, receive, row, gateway, account } = await openJobHarness({
      faults: { createIdempotency: 'second-token' },
    });
    const { id, gateway_reference: reference } = await open('sandbox:direct');
    await receive(id, 'notify', { status: '1', quickpayId: 'made-up', isProven: true });
    expect((await row(id)).review).toBeNull();
    const second = await createSecondToken(gateway, account, reference);
    await receive(id, 'redirect', { status: '1', ...second });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'second_token' });
  });

  test.for(['disabled', 'token_expired'] as const)(
    'is flagged for review after the first token is %s; a made-up id is not',
    async (end, { openJobHarness }) => {
      const { open, receive, run, row, confirm, makeDue, sandbox, gateway, account } =
        await openJobHarness({ faults: { createIdempotency: 'second-token' } });
      const { id, gateway_reference: reference } = await open('sandbox:direct');
      const second = await createSecondToken(gateway, account, reference);
      if (end === 'disabled') await run('token.disable', { tokenizationId: id });
      else {
        sandbox.setFaults({ expiryTime: '2020-01-01' });
        for (let check = 0; check < 2; check += 1) {
          await makeDue(id);
          await confirm(id);
        }
      }
      await receive(id, 'notify', { status: '1', quickpayId: 'made-up', isProven: true });
      expect(await row(id)).toMatchObject({ state: end, review: null });
      await receive(id, 'redirect', { status: '1', ...second });
      expect(await row(id)).toMatchObject({ state: end, review: 'second_token' });
    },
  );

  test('that a proven push names is queried by its own id', async ({ openJobHarness }) => {
    const { open, receive, row, gateway, account } = await openJobHarness({
      faults: { createIdempotency: 'second-token' },
      wrapGateway: (inner) => ({
        ...inner,
        queryQuickPay: async (merchant, lookup, call) =>
          lookup.by === 'quickpayId'
            ? await inner.queryQuickPay(merchant, lookup, call)
            : { kind: 'none', gatewayCode: '0404' },
      }),
    });
    const { id, gateway_reference: reference } = await open('sandbox:direct');
    const second = await createSecondToken(gateway, account, reference);
    await receive(id, 'notify', { status: '1', isProven: true, ...second });
    expect((await row(id)).review).toBe('second_token');
    await receive(id, 'notify', { status: '0', isProven: true });
    expect((await row(id)).review).toBe('second_token');
  });

  test('of another tokenization is not flagged, even when a proven push names it', async ({
    openJobHarness,
  }) => {
    const { open, receive, row, sandbox } = await openJobHarness();
    const { id } = await open('sandbox:direct');
    await open('sandbox:direct');
    const quickpayId = sandbox.state().creations.at(-1)?.quickpayId ?? '';
    await receive(id, 'notify', { status: '1', quickpayId, isProven: true });
    expect(await row(id)).toMatchObject({ state: 'active', review: null });
  });
});

/** Has the gateway make a second usable token under one reference. */
async function createSecondToken(
  gateway: GatewayClient,
  account: JobHarness['account'],
  referenceId: string,
): Promise<{ readonly quickpayId: string; readonly fields: Record<string, string> }> {
  const second = await gateway.createQuickPay(account, {
    order: {
      currency: 'EUR',
      amount: '12.50',
      methods: 'Klarna',
      remark: 'sandbox:direct',
      redirectUrl: 'http://127.0.0.1:9/callbacks/redirect',
      notifyUrl: 'http://127.0.0.1:9/callbacks/notify',
    },
    merchant: { referenceId },
    billing: { firstname: 'A', lastname: 'B', email: 'a@example.com', country: 'DE' },
    customer: { id: 'cust-77' },
  });
  expect(second.kind).toBe('done');
  const { quickpayId, orderReferenceId = '' } = second as Extract<typeof second, { kind: 'done' }>;
  return { quickpayId: quickpayId.reveal(), fields: { order_reference_id: orderReferenceId } };
}
