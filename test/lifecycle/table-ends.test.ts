import { describe, expect } from 'vitest';
import { test } from '../support/desk-test.ts';

/** One test per row of the lifecycle's table, after the first result. */

const quiet = 'sandbox:redirect+dropped';

describe('after the end', () => {
  test.for(['expired', 'failed'] as const)(
    'a success that comes late wins over %s once the gateway confirms it',
    async (end, { openDesk: at }) => {
      const { open, hear, confirm, decide, passDeadline, row, events } = await at();
      const { id } = await open(quiet);
      if (end === 'expired') {
        await passDeadline(id);
        await confirm(id);
      } else await hear(id, 'notify', { status: '0', isProven: true });
      expect((await row(id)).state).toBe(end);
      const quickpayId = await decide(id, 'approve');
      await hear(id, 'redirect', { status: '1', quickpayId });
      expect((await row(id)).state).toBe(end);
      await confirm(id);
      expect((await row(id)).state).toBe('active');
      expect((await events(id)).at(-1)).toBe('tokenization.activated');
    },
  );

  test('the same success again is counted on the message and changes no version', async ({
    openDesk: at,
  }) => {
    const { open, hear, confirm, decide, row } = await at();
    const { id } = await open(quiet);
    const quickpayId = await decide(id, 'approve');
    await confirm(id);
    const before = await row(id);
    await hear(id, 'redirect', { status: '1', quickpayId });
    const { callback } = await hear(id, 'redirect', { status: '1', quickpayId });
    expect(callback.seen_count).toBe(2);
    expect(await row(id)).toEqual(before);
  });

  test('a second token that the gateway calls usable is flagged for review; a made-up one is not', async ({
    openDesk: at,
  }) => {
    const { open, hear, row, gateway, account } = await at({
      faults: { createIdempotency: 'second-token' },
    });
    const { id, gateway_reference: reference } = await open('sandbox:direct');
    await hear(id, 'notify', { status: '1', quickpayId: 'made-up', isProven: true });
    expect((await row(id)).review).toBeNull();
    const second = await gateway.createQuickPay(account, {
      order: {
        currency: 'EUR',
        amount: '12.50',
        methods: 'Klarna',
        remark: 'sandbox:direct',
        redirectUrl: 'http://127.0.0.1:9/callbacks/redirect',
        notifyUrl: 'http://127.0.0.1:9/callbacks/notify',
      },
      merchant: { referenceId: reference },
      billing: { firstname: 'A', lastname: 'B', email: 'a@example.com', country: 'DE' },
      customer: { id: 'cust-77' },
    });
    expect(second.kind).toBe('done');
    const { quickpayId: other, orderReferenceId = '' } = second as Extract<
      typeof second,
      { kind: 'done' }
    >;
    const fields = { order_reference_id: orderReferenceId };
    await hear(id, 'redirect', { status: '1', quickpayId: other.reveal(), fields });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'second_token' });
  });

  test('a failure that comes late is put to the gateway, which says that the token works', async ({
    openDesk: at,
  }) => {
    const { open, hear, row } = await at();
    const { id } = await open('sandbox:direct');
    expect((await hear(id, 'redirect', { status: '0' })).result).toBe('not_borne_out');
    expect((await row(id)).review).toBeNull();
    await hear(id, 'notify', { status: '0', isProven: true });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'failed_after_success' });
  });

  test('a failure that comes late disables a token that the gateway calls unusable', async ({
    openDesk: at,
  }) => {
    const { open, hear, row, run, gateway, account, dependencies, events } = await at();
    const { id, quickpay_id_sealed: sealed } = await open('sandbox:direct');
    const place = { table: 'tokenization', column: 'quickpay_id_sealed', rowId: id };
    await gateway.cancelQuickPay(account, dependencies.keyring.open(place, sealed ?? ''));
    await hear(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual([
      'conflict.failed_after_success',
      'token.disabled',
    ]);
    expect(await run('token.disable', { tokenizationId: id })).toBe('already_disabled');
  });

  test('a token is disabled in two steps, each of them written', async ({ openDesk: at }) => {
    const { open, run, row, events } = await at();
    const { id } = await open('sandbox:direct');
    expect(await run('token.disable', { tokenizationId: id })).toBe('disabled');
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual(['token.disabling', 'token.disabled']);
  });

  test.for([
    { days: 29, told: ['token.expiry_learned'], next: 7 },
    { days: 5, told: ['token.expiry_learned'], next: 1 },
    { days: -1, told: ['token.expiry_learned', 'token.expired'], next: undefined },
  ])(
    'the end of a token in $days days is watched',
    async ({ days, told, next }, { openDesk: at }) => {
      const dayMs = 86_400_000;
      const expiryTime = new Date(Date.now() + days * dayMs).toISOString().slice(0, 10);
      const { open, confirm, makeDue, row, events } = await at({ faults: { expiryTime } });
      const { id } = await open('sandbox:direct');
      for (const _ of told) {
        await makeDue(id);
        await confirm(id);
      }
      expect((await events(id)).slice(3)).toEqual(told);
      const { expires_at: end, reconcile_at: look, state } = await row(id);
      expect(state).toBe(next === undefined ? 'token_expired' : 'active');
      const before =
        look === null || end === null ? undefined : (end.getTime() - look.getTime()) / dayMs;
      expect(before).toBe(next);
    },
  );

  test('each of the three steps before its end is told once', async ({ openDesk: at }) => {
    const { open, confirm, makeDue, events } = await at({
      faults: { expiryTime: new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10) },
    });
    const { id } = await open('sandbox:direct');
    for (let look = 0; look < 2; look += 1) {
      await makeDue(id);
      await confirm(id);
    }
    expect((await events(id)).slice(3)).toEqual(['token.expiry_learned', 'token.expiring']);
    expect(await confirm(id)).toBe('already_settled');
  });
});
