import { describe, expect } from 'vitest';
import { disableToken } from '../../src/tokenization/token/disable.ts';
import { testActor } from '../support/builders.ts';
import type { GatewayClient } from '../../src/gateway/client.ts';
import type { JobHarness } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';

/** One test per row of the lifecycle's table, after the first result. */

const quiet = 'sandbox:redirect+dropped';

describe('after the end', () => {
  test.for([
    ['expired', 'redirect'],
    ['failed', 'notify'],
  ] as const)(
    'a success that comes late wins over %s once the gateway confirms it: %s',
    async ([end, by], { openJobHarness: at }) => {
      const { open, receive, confirm, decide, passDeadline, row, events } = await at();
      const { id } = await open(quiet);
      if (end === 'expired') {
        await passDeadline(id);
        await confirm(id);
      } else await receive(id, 'notify', { status: '0', isProven: true });
      expect((await row(id)).state).toBe(end);
      const quickpayId = await decide(id, 'approve');
      await receive(id, by, { status: '1', quickpayId, isProven: by === 'notify' });
      // A push begins the schedule anew; because of a browser the gateway is asked, and nothing is written for it.
      expect((await row(id)).state).toBe(by === 'notify' ? end : 'active');
      if (by === 'notify') await confirm(id);
      expect((await row(id)).state).toBe('active');
      expect((await events(id)).at(-1)).toBe('tokenization.activated');
    },
  );

  test('the same success again is counted on the message and changes no version', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, confirm, decide, row } = await at();
    const { id } = await open(quiet);
    const quickpayId = await decide(id, 'approve');
    await confirm(id);
    const before = await row(id);
    await receive(id, 'redirect', { status: '1', quickpayId });
    const { callback } = await receive(id, 'redirect', { status: '1', quickpayId });
    expect(callback.seen_count).toBe(2);
    expect(await row(id)).toEqual(before);
  });

  test('a second token that the gateway calls usable is flagged for review; a made-up one is not', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row, gateway, account } = await at({
      faults: { createIdempotency: 'second-token' },
    });
    const { id, gateway_reference: reference } = await open('sandbox:direct');
    await receive(id, 'notify', { status: '1', quickpayId: 'made-up', isProven: true });
    expect((await row(id)).review).toBeNull();
    const other = await createAgain(gateway, account, reference);
    await receive(id, 'redirect', { status: '1', ...other });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'second_token' });
  });

  test('a failure that comes late is put to the gateway, which says that the token works', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row } = await at();
    const { id } = await open('sandbox:direct');
    expect((await receive(id, 'redirect', { status: '0' })).result).toBe('not_confirmed');
    expect((await row(id)).review).toBeNull();
    await receive(id, 'notify', { status: '0', isProven: true });
    expect(await row(id)).toMatchObject({ state: 'active', review: 'failed_after_success' });
  });

  test('a failure that comes late disables a token that the gateway calls unusable', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row, run, gateway, account, dependencies, events } = await at();
    const { id, quickpay_id_sealed: sealed } = await open('sandbox:direct');
    const place = { table: 'tokenization', column: 'quickpay_id_sealed', rowId: id };
    await gateway.cancelQuickPay(account, dependencies.keyring.open(place, sealed ?? ''));
    await receive(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual([
      'conflict.failed_after_success',
      'token.disabled',
    ]);
    expect(await run('token.disable', { tokenizationId: id })).toBe('already_disabled');
  });

  test('a token is disabled in two steps, each of them written', async ({ openJobHarness: at }) => {
    const { open, run, row, events } = await at();
    const { id } = await open('sandbox:direct');
    expect(await run('token.disable', { tokenizationId: id })).toBe('disabled');
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual(['token.disabling', 'token.disabled']);
  });

  test.for([
    { days: 40, told: ['token.expiry_learned'], next: 30 },
    { days: 29, told: ['token.expiry_learned', 'token.expiring'], next: 7 },
    { days: 5, told: ['token.expiry_learned', 'token.expiring'], next: 1 },
    { days: -1, told: ['token.expiry_learned', 'token.expired'], next: undefined },
  ])(
    'the end of a token in $days days is watched',
    async ({ days, told, next }, { openJobHarness: at }) => {
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

  test('each of the three notices before its end is told once, whatever else makes the worker look', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, alter, events } = await at({
      // The date does not move while this test lets the days pass.
      wrapGateway: (gateway) => ({
        ...gateway,
        queryQuickPay: async (...call) => {
          const reply = await gateway.queryQuickPay(...call);
          if (reply.kind !== 'found') return reply;
          return {
            ...reply,
            records: reply.records.map((record) => ({ ...record, expiryTime: undefined })),
          };
        },
      }),
    });
    const { id } = await open('sandbox:direct');
    for (const daysLeft of [31, 29, 29, 8, 6, 2, 0.5, 0.1, 0]) {
      await alter(id, `expires_at = now() + interval '1 day' * ${daysLeft}, reconcile_at = now()`);
      await makeDue(id);
      await confirm(id);
    }
    expect((await events(id)).slice(3)).toEqual([
      'reconcile.pending',
      'token.expiring',
      'reconcile.pending',
      'reconcile.pending',
      'token.expiring',
      'reconcile.pending',
      'token.expiring',
      'reconcile.pending',
      'token.expired',
    ]);
  });

  test('a record that shows up late ends no watch: the end is asked for until it is known', async ({
    openJobHarness: at,
  }) => {
    const visible = { is: false };
    const { open, confirm, makeDue, row } = await at({
      wrapGateway: (gateway) => ({
        ...gateway,
        queryQuickPay: async (...call) =>
          visible.is ? await gateway.queryQuickPay(...call) : { kind: 'none', gatewayCode: '0404' },
      }),
    });
    const { id } = await open('sandbox:direct');
    await makeDue(id);
    expect(await confirm(id)).toBe('rescheduled');
    visible.is = true;
    await makeDue(id);
    expect(await confirm(id)).toBe('expiry_learned');
    expect((await row(id)).expires_at).not.toBeNull();
  });

  test.for(['disabled', 'token_expired'] as const)(
    'a second token that works on after the first is %s is flagged, a made-up one is not',
    async (end, { openJobHarness: at }) => {
      const { open, receive, run, row, confirm, makeDue, sandbox, gateway, account } = await at({
        faults: { createIdempotency: 'second-token' },
      });
      const { id, gateway_reference: reference } = await open('sandbox:direct');
      const other = await createAgain(gateway, account, reference);
      if (end === 'disabled') await run('token.disable', { tokenizationId: id });
      else {
        sandbox.setFaults({ expiryTime: '2020-01-01' });
        for (let look = 0; look < 2; look += 1) {
          await makeDue(id);
          await confirm(id);
        }
      }
      await receive(id, 'notify', { status: '1', quickpayId: 'made-up', isProven: true });
      expect(await row(id)).toMatchObject({ state: end, review: null });
      await receive(id, 'redirect', { status: '1', ...other });
      expect(await row(id)).toMatchObject({ state: end, review: 'second_token' });
    },
  );

  test('a second token that a signed push names is found by its id, where a query by reference shows the first alone', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row, gateway, account } = await at({
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
    const other = await createAgain(gateway, account, reference);
    await receive(id, 'notify', { status: '1', isProven: true, ...other });
    expect((await row(id)).review).toBe('second_token');
    await receive(id, 'notify', { status: '0', isProven: true });
    expect((await row(id)).review).toBe('second_token');
  });

  test('a token of somebody else is no second token, whoever names it', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row, sandbox } = await at();
    const { id } = await open('sandbox:direct');
    await open('sandbox:direct');
    const others = sandbox.state().creations.at(-1)?.quickpayId ?? '';
    await receive(id, 'notify', { status: '1', quickpayId: others, isProven: true });
    expect(await row(id)).toMatchObject({ state: 'active', review: null });
  });

  test('a contradiction is told although something else is in review', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, row, alter, events } = await at();
    const { id } = await open('sandbox:direct');
    await alter(id, `review = 'disable_refused'`);
    await receive(id, 'notify', { status: '0', isProven: true });
    expect((await row(id)).review).toBe('failed_after_success');
    expect((await events(id)).at(-1)).toBe('conflict.failed_after_success');
  });

  test('a disabling whose schedule is over begins anew when it is asked for again', async ({
    openJobHarness: at,
  }) => {
    const { open, run, row, alter, sandbox, dependencies } = await at();
    const { id } = await open('sandbox:direct');
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['cancel', 'query'] });
    await run('token.disable', { tokenizationId: id });
    await alter(id, 'reconcile_at = null');
    await disableToken(dependencies, { v: 1, tokenizationId: id }, { actor: testActor });
    expect((await row(id)).reconcile_at).not.toBeNull();
    // By a job of the backend's own too, however far it had come.
    await alter(id, `reconcile_at = null, reconcile_step = 100`);
    await run('token.disable', { tokenizationId: id });
    expect(await row(id)).toMatchObject({ reconcile_step: 1, reconcile_at: expect.any(Date) });
    sandbox.setFaults({ errorRate5xx: 0 });
    expect(await run('token.disable', { tokenizationId: id })).toBe('disabled');
  });

  test('a token that is past its end for a day is expired, also where the gateway is silent', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, row, alter, sandbox } = await at();
    const { id } = await open('sandbox:direct');
    await makeDue(id);
    await confirm(id);
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    await alter(id, `expires_at = now() - interval '23 hours', reconcile_at = now()`);
    expect(await confirm(id)).toBe('no_answer');
    await alter(id, `attempt = 2, expires_at = now() - interval '25 hours', reconcile_at = now()`);
    expect(await confirm(id)).toBe('token_expired');
    expect((await row(id)).state).toBe('token_expired');
  });

  test('a gateway that refuses to disable a token and says that it works is put before a person', async ({
    openJobHarness: at,
  }) => {
    const { open, run, row } = await at({
      wrapGateway: (gateway) => ({
        ...gateway,
        cancelQuickPay: async () => await Promise.resolve({ kind: 'refused', gatewayCode: '0500' }),
      }),
    });
    const { id } = await open('sandbox:direct');
    expect(await run('token.disable', { tokenizationId: id })).toBe('disable_refused');
    expect(await row(id)).toMatchObject({ state: 'active', review: 'disable_refused' });
  });

  test('a token that has to be asked about for ever is put before a person when the schedule is over', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, row, alter } = await at({
      settings: { reconcileScheduleMs: [1, 1] },
    });
    const { id } = await open(quiet);
    await alter(id, 'deadline_at = null');
    for (const result of ['rescheduled', 'schedule_over']) {
      await makeDue(id);
      expect(await confirm(id)).toBe(result);
    }
    expect(await row(id)).toMatchObject({ review: 'reconcile_exhausted', reconcile_at: null });
  });

  test('the id that the gateway names when asked wins over the one of a push, and a person is told', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, confirm, decide, row } = await at();
    const { id } = await open(quiet);
    await decide(id, 'approve');
    await receive(id, 'notify', { status: '1', quickpayId: 'another-id', isProven: true });
    await confirm(id);
    expect(await row(id)).toMatchObject({ state: 'active', review: 'evidence_id_differs' });
  });
});

/** A second usable token under one reference. */
async function createAgain(
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
