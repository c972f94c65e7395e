import { afterEach, describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { type Desk, openDesk } from '../support/desk.ts';
import { test as base } from '../support/fixtures.ts';

/** One test per row of the lifecycle's table: from, what happened, guard, to. */

let desk: Desk | undefined;
const test = base.extend(
  'openDesk',
  async ({ database, door, databaseUrl }) =>
    async (options: Parameters<typeof openDesk>[1] = {}): Promise<Desk> => {
      desk = await openDesk({ db: database.db, door, databaseUrl }, options);
      return desk;
    },
);

afterEach(async () => {
  if (desk !== undefined) {
    expect(await findAuditBreaks(desk.dependencies.db)).toEqual([]);
    await desk.close();
  }
  desk = undefined;
});

const quiet = 'sandbox:redirect+dropped';

describe('before the gateway has answered', () => {
  test('a request with a new key is requested', async ({ openDesk: at }) => {
    const { open } = await at();
    expect(await open(quiet, false)).toMatchObject({ state: 'requested', version: 1 });
  });

  test('the intent is committed before the request leaves', async ({ openDesk: at, database }) => {
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

  test('a reply with an address waits for the customer', async ({ openDesk: at }) => {
    const { open } = await at();
    const row = await open(quiet);
    expect(row).toMatchObject({ state: 'awaiting_customer', version: 3 });
    expect(row.redirect_url).toContain('http');
  });

  test('a reply without an address and with status 1 is a usable token at once', async ({
    openDesk: at,
  }) => {
    const { open } = await at();
    expect((await open('sandbox:direct')).state).toBe('active');
  });

  test.for(['sandbox:refuse', 'sandbox:direct-failed'])(
    'a refusal or status 0 fails: %s',
    async (remark, { openDesk: at }) => {
      const { open } = await at();
      expect((await open(remark)).state).toBe('failed');
    },
  );

  test.for([
    { what: 'a reset', faults: { resetAfterEffectRate: 1 } },
    { what: '5xx', faults: { errorAfterEffectRate: 1 } },
    { what: 'a timeout', faults: { hangAfterEffectRate: 1 } },
  ])('after $what the outcome is unknown', async ({ faults }, { openDesk: at }) => {
    const { open } = await at({ faults: { ...faults, faultEndpoints: ['create'] } });
    expect((await open(quiet)).state).toBe('submit_unknown');
  });

  test('an intent whose lease is over is an unknown outcome, and a reply that comes later still counts', async ({
    openDesk: at,
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
    openDesk: at,
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
    openDesk: at,
  }) => {
    const { open, confirm, makeDue, row, run, sandbox, hear, decide } = await at({
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
    expect((await hear(id, 'notify', { ...failure, fields })).result).toBe('abandoned_attempt');
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
    async (channel, { openDesk: at }) => {
      const { open, hear, confirm, decide, row } = await at();
      const { id } = await open(quiet);
      const quickpayId = await decide(id, 'approve');
      await hear(id, channel, { status: '1', quickpayId });
      expect((await row(id)).state).toBe('confirming');
      await confirm(id);
      expect((await row(id)).state).toBe('active');
    },
  );

  test('a proven push activates by itself where the policy says so', async ({ openDesk: at }) => {
    const { open, hear, decide, row } = await at({ settings: { confirmPolicy: 'signed' } });
    const { id } = await open(quiet);
    const quickpayId = await decide(id, 'approve');
    await hear(id, 'notify', { status: '1', quickpayId, isProven: true });
    expect((await row(id)).state).toBe('active');
  });

  test('an unproven push does not activate, whatever the policy', async ({ openDesk: at }) => {
    const { open, hear, confirm, row } = await at({ settings: { confirmPolicy: 'signed' } });
    const { id } = await open(quiet);
    await hear(id, 'notify', { status: '1', quickpayId: 'made-up' });
    await confirm(id);
    expect(await row(id)).toMatchObject({ state: 'confirming', quickpay_id_sealed: null });
  });

  test('a query alone activates, without any message', async ({ openDesk: at }) => {
    const { open, confirm, decide, row } = await at();
    const { id } = await open(quiet);
    await decide(id, 'approve');
    await confirm(id);
    expect((await row(id)).state).toBe('active');
  });

  test('a proven push that says failed fails, and so does a query', async ({ openDesk: at }) => {
    const { open, hear, confirm, decide, row } = await at();
    const pushed = await open(quiet);
    await hear(pushed.id, 'notify', { status: '0', isProven: true });
    expect((await row(pushed.id)).state).toBe('failed');
    const asked = await open(quiet);
    await decide(asked.id, 'decline');
    await confirm(asked.id);
    expect((await row(asked.id)).state).toBe('failed');
  });

  test('a browser alone fails nothing', async ({ openDesk: at }) => {
    const { open, hear, confirm, row } = await at();
    const { id } = await open(quiet);
    await hear(id, 'redirect', { status: '0' });
    expect((await row(id)).state).toBe('confirming');
    await confirm(id);
    expect((await row(id)).state).toBe('confirming');
  });

  test('pending extends the deadline once', async ({ openDesk: at }) => {
    const { open, hear, row, events } = await at();
    const { id } = await open(quiet);
    expect((await hear(id, 'notify', { status: '-1' })).result).toBe('deadline_extended');
    expect((await hear(id, 'redirect', { status: '-1' })).result).toBe('still_pending');
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
    async ([reason, fields], { openDesk: at }) => {
      const { open, hear, row } = await at();
      const before = await open(quiet);
      const { callback } = await hear(before.id, 'notify', { status: '0', fields });
      expect(callback).toMatchObject({ state: 'rejected', reason });
      expect(await row(before.id)).toEqual(before);
    },
  );

  test('past its deadline it expires when the gateway knows of no result, not before', async ({
    openDesk: at,
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

  test('silence past the deadline is no result', async ({ openDesk: at }) => {
    const { open, confirm, passDeadline, row, sandbox } = await at();
    const { id } = await open(quiet);
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    await passDeadline(id);
    await confirm(id);
    expect((await row(id)).state).toBe('awaiting_customer');
  });

  test('strangers can not use up the schedule of queries', async ({ openDesk: at }) => {
    const { open, confirm, hear, row } = await at();
    const { id } = await open(quiet);
    for (const quickpayId of ['a1', 'a2', 'a3', 'a4']) {
      await hear(id, 'redirect', { status: '1', quickpayId });
      await confirm(id);
    }
    expect(await row(id)).toMatchObject({ state: 'confirming', reconcile_step: 0, version: 4 });
  });
});

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
