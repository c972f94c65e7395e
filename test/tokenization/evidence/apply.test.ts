import { describe, expect } from 'vitest';
import { test } from '../support/harness/harness-test.ts';

/** One test per row of the lifecycle's table, up to the first result: from, what happened, guard, to. */

const quiet = 'sandbox:redirect+dropped';

describe('before the gateway has answered', () => {
  test('a request with a new key is requested', async ({ openJobHarness: at }) => {
    const { open } = await at();
    expect(await open(quiet, false)).toMatchObject({ state: 'requested', version: 1 });
  });

  test('a message that comes before the reply waits for it', async ({ openJobHarness: at }) => {
    const heard: string[] = [];
    const harness = await at({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          heard.push((await harness.receive(id, 'redirect', { status: '0' })).result);
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await harness.open(quiet, false);
    heard.push((await harness.receive(id, 'notify', { status: '0', isProven: true })).result);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(heard).toEqual(['request_in_flight', 'request_in_flight']);
    expect((await harness.row(id)).state).toBe('awaiting_customer');
  });

  test('the intent is committed before the request leaves', async ({
    openJobHarness: at,
    database,
  }) => {
    const seen: string[] = [];
    const { open, events } = await at({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          const rows = await database.db.selectFrom('tokenization').select('state').execute();
          seen.push(...rows.map(({ state }) => state));
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await open(quiet);
    expect(seen).toEqual(['submitting']);
    expect((await events(id)).slice(0, 2)).toEqual([
      'tokenization.requested',
      'tokenization.submitting',
    ]);
  });

  test('a reply with an address waits for the customer', async ({ openJobHarness: at }) => {
    const { open } = await at();
    const row = await open(quiet);
    expect(row).toMatchObject({ state: 'awaiting_customer', version: 3 });
    expect(row.redirect_url).toContain('http');
  });

  test('a reply without an address and with status 1 is a usable token at once', async ({
    openJobHarness: at,
  }) => {
    const { open } = await at();
    expect((await open('sandbox:direct')).state).toBe('active');
  });

  test.for(['sandbox:refuse', 'sandbox:direct-failed'])(
    'a refusal or status 0 fails: %s',
    async (remark, { openJobHarness: at }) => {
      const { open } = await at();
      expect((await open(remark)).state).toBe('failed');
    },
  );

  test.for([
    { what: 'a reset', faults: { resetAfterEffectRate: 1 } },
    { what: '5xx', faults: { errorAfterEffectRate: 1 } },
    { what: 'a timeout', faults: { hangAfterEffectRate: 1 } },
  ])('after $what the outcome is unknown', async ({ faults }, { openJobHarness: at }) => {
    const { open } = await at({ faults: { ...faults, faultEndpoints: ['create'] } });
    expect((await open(quiet)).state).toBe('submit_unknown');
  });

  test('an intent whose lease is over is an unknown outcome, and a reply that comes later still counts', async ({
    openJobHarness: at,
  }) => {
    const late: { confirm?: () => Promise<void> } = {};
    const running = await at({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          const reply = await gateway.createQuickPay(...call);
          await late.confirm?.();
          return reply;
        },
      }),
    });
    const { id } = await running.open(quiet, false);
    late.confirm = async () => {
      await running.makeDue(id);
      expect(await running.confirm(id)).toBe('submit_unknown');
    };
    await running.run('tokenization.request', { tokenizationId: id });
    expect((await running.row(id)).state).toBe('awaiting_customer');
    expect(await running.events(id)).toContain('tokenization.outcome_unknown');
  });

  test('a lost request is sent again under a new reference after two "none" a minute apart, not before', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, row, run, sandbox } = await at({
      faults: { errorRate5xx: 1, faultEndpoints: ['create'] },
    });
    const { id, gateway_reference: first } = await open(quiet);
    expect([await confirm(id), await confirm(id)]).toEqual(['none_once', 'none_again']);
    await makeDue(id);
    expect(await confirm(id)).toBe('resubmitted');
    const again = await row(id);
    expect(again).toMatchObject({ state: 'requested', abandoned_references: [first] });
    expect(again.gateway_reference).not.toBe(first);
    sandbox.setFaults({ errorRate5xx: 0 });
    await run('tokenization.request', { tokenizationId: id });
    expect((await row(id)).state).toBe('awaiting_customer');
  });

  test('a token that turns up under the reference that was given up is found and used', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, row, run, sandbox, receive, decide } = await at({
      faults: { errorAfterEffectRate: 1, faultEndpoints: ['create'], pendingVisible: false },
    });
    const { id } = await open(quiet);
    await confirm(id);
    await makeDue(id);
    expect(await confirm(id)).toBe('resubmitted');
    sandbox.setFaults({ errorAfterEffectRate: 0 });
    await run('tokenization.request', { tokenizationId: id });
    const { abandoned_references: abandoned } = await row(id);
    const failure = { status: '0', isProven: true } as const;
    const fields = { merchant_reference_id: abandoned[0] ?? '', order_reference_id: '' };
    expect((await receive(id, 'notify', { ...failure, fields })).result).toBe('abandoned_attempt');
    expect((await row(id)).state).toBe('awaiting_customer');
    await decide(id, 'approve');
    await confirm(id);
    expect((await row(id)).state).toBe('active');
    expect(Object.values(sandbox.state().tokensByMerchantReference)).toEqual([1]);
  });
});

describe('while the customer decides', () => {
  test.for(['redirect', 'notify'] as const)(
    'a success by %s makes the worker ask, and the answer activates',
    async (channel, { openJobHarness: at }) => {
      const { open, receive, confirm, decide, row } = await at();
      const { id } = await open(quiet);
      const quickpayId = await decide(id, 'approve');
      await receive(id, channel, { status: '1', quickpayId });
      expect((await row(id)).state).toBe('confirming');
      await confirm(id);
      expect((await row(id)).state).toBe('active');
    },
  );

  test('a proven push activates by itself where the policy says so', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, decide, row } = await at({ settings: { confirmPolicy: 'signed' } });
    const { id } = await open(quiet);
    const quickpayId = await decide(id, 'approve');
    await receive(id, 'notify', { status: '1', quickpayId, isProven: true });
    expect((await row(id)).state).toBe('active');
  });

  test('an unproven push does not activate, whatever the policy', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, confirm, row } = await at({ settings: { confirmPolicy: 'signed' } });
    const { id } = await open(quiet);
    await receive(id, 'notify', { status: '1', quickpayId: 'made-up' });
    await confirm(id);
    expect(await row(id)).toMatchObject({ state: 'confirming', quickpay_id_sealed: null });
  });

  test('a query alone activates, without any message', async ({ openJobHarness: at }) => {
    const { open, confirm, decide, row } = await at();
    const { id } = await open(quiet);
    await decide(id, 'approve');
    await confirm(id);
    expect((await row(id)).state).toBe('active');
  });

  test('a proven push that says failed fails, and so does a query', async ({
    openJobHarness: at,
  }) => {
    const { open, receive, confirm, decide, row } = await at();
    const pushed = await open(quiet);
    await receive(pushed.id, 'notify', { status: '0', isProven: true });
    expect((await row(pushed.id)).state).toBe('failed');
    const asked = await open(quiet);
    await decide(asked.id, 'decline');
    await confirm(asked.id);
    expect((await row(asked.id)).state).toBe('failed');
  });

  test('a browser alone fails nothing', async ({ openJobHarness: at }) => {
    const { open, receive, confirm, row } = await at();
    const { id } = await open(quiet);
    await receive(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('confirming');
    await confirm(id);
    expect((await row(id)).state).toBe('confirming');
  });

  test('pending extends the deadline once', async ({ openJobHarness: at }) => {
    const { open, receive, row, events } = await at();
    const { id } = await open(quiet);
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
    'a message that is not believed is a verdict on the message, never on the token: %s',
    async ([reason, fields], { openJobHarness: at }) => {
      const { open, receive, row } = await at();
      const before = await open(quiet);
      const { callback } = await receive(before.id, 'notify', { status: '0', fields });
      expect(callback).toMatchObject({ state: 'rejected', reason });
      expect(await row(before.id)).toEqual(before);
    },
  );

  test('past its deadline it expires when the gateway knows of no result, not before', async ({
    openJobHarness: at,
  }) => {
    const { open, confirm, makeDue, passDeadline, row } = await at();
    const { id } = await open(quiet);
    await makeDue(id);
    await confirm(id);
    expect((await row(id)).state).toBe('awaiting_customer');
    await passDeadline(id);
    await confirm(id);
    expect((await row(id)).state).toBe('expired');
  });

  test('silence past the deadline is no result', async ({ openJobHarness: at }) => {
    const { open, confirm, passDeadline, row, sandbox } = await at();
    const { id } = await open(quiet);
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    await passDeadline(id);
    await confirm(id);
    expect((await row(id)).state).toBe('awaiting_customer');
  });

  test('strangers can not use up the schedule of queries', async ({ openJobHarness: at }) => {
    const { open, confirm, receive, row } = await at();
    const { id } = await open(quiet);
    for (const quickpayId of ['a1', 'a2', 'a3', 'a4']) {
      await receive(id, 'redirect', { status: '1', quickpayId });
      await confirm(id);
    }
    expect(await row(id)).toMatchObject({ state: 'confirming', reconcile_step: 0, version: 4 });
  });
});
