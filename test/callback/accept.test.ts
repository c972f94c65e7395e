import { expect } from 'vitest';
import { findDueCallbacks } from '../../src/db/callbacks.ts';
import { withClient } from '../../src/db/database.ts';
import type { CallbackRow } from '../../src/db/rows.ts';
import { acceptCallback } from '../../src/callback/accept.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { runJob } from '../support/harness/run-job.ts';
import { test } from '../support/harness/harness-test.ts';

const formBody = (values: Record<string, string>): Buffer =>
  Buffer.from(new URLSearchParams(values).toString());

test('a message that came before its account was known is kept in full when the gateway sends it again', async ({
  openJobHarness,
  database,
}) => {
  const { dependencies } = await openJobHarness();
  const place = { account: '777777', terminal: '77777701' };
  const send = async (pushTime: string) =>
    await acceptCallback(dependencies, {
      channel: 'notify',
      contentType: undefined,
      body: formBody({
        ...place,
        merchant_reference_id: 'tok-later',
        quickpay_status: '1',
        order_remark: 'x'.repeat(500),
        push_dateTime: pushTime,
      }),
      sourceIp: undefined,
    });
  await send('1');
  await send('2');
  await storeCredential(
    dependencies,
    {
      name: 'second',
      environment: 'sandbox',
      family: 'accept_payments',
      ...place,
      secrets: { secureCode: 'abcdefgh' },
    },
    testActor,
  );
  await send('3');
  const rows = await database.db
    .selectFrom('callback')
    .select(['state', 'seen_count'])
    .orderBy('created_at')
    .execute();
  expect(rows).toEqual([
    { state: 'rejected', seen_count: 2 },
    { state: 'received', seen_count: 1 },
  ]);
});

test.for<readonly [string, string | undefined, (a: string, t: string) => Buffer]>([
  [
    'a lone surrogate',
    'application/json',
    (account, terminal) =>
      Buffer.from(
        `{"account":"${account}","terminal":"${terminal}","quickpay_status":"1","merchant_reference_id":"\\ud800"}`,
      ),
  ],
  [
    'a character that the border of its column cuts in two',
    undefined,
    (account, terminal) =>
      formBody({
        account,
        terminal,
        quickpay_status: '1',
        merchant_reference_id: `${'x'.repeat(49)}😀`,
      }),
  ],
])(
  'a message about an account of ours is kept although its reference holds %s',
  async ([, contentType, body], { openJobHarness }) => {
    const { dependencies, account } = await openJobHarness();
    const kept = await acceptCallback(dependencies, {
      channel: 'notify',
      contentType,
      body: body(account.account, account.terminal),
      sourceIp: undefined,
    });
    expect(kept.isDuplicate).toBe(false);
  },
);

test('a gateway that is busy when a token is disabled has not said that it is', async ({
  openJobHarness,
}) => {
  const harness = await openJobHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      cancelQuickPay: async () => await Promise.resolve({ kind: 'refused', gatewayCode: 'BUSY' }),
      queryQuickPay: async () => await Promise.resolve({ kind: 'none', gatewayCode: 'BUSY' }),
    }),
  });
  const { id } = await harness.open('sandbox:direct');
  expect(await harness.run('token.disable', { tokenizationId: id })).toBe('rescheduled');
  expect(await harness.row(id)).toMatchObject({ state: 'disabling' });
});

test('a look that was queued before a token is disabled does not cancel it a second time', async ({
  openJobHarness,
}) => {
  const looks: string[] = [];
  const harness = await openJobHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      cancelQuickPay: async (...call) => {
        looks.push(await harness.confirm(id));
        return await gateway.cancelQuickPay(...call);
      },
    }),
  });
  const { id } = await harness.open('sandbox:direct');
  expect(await harness.run('token.disable', { tokenizationId: id })).toBe('disabled');
  expect(looks).toEqual(['not_due']);
  expect(harness.sandbox.state().calls.cancel).toBe(1);
});

test.for([
  { what: 'its signature', reason: 'signature_absent' },
  { what: 'its account', reason: 'unknown_account' },
])(
  'an orphan that $what would refuse by now waits unheard, and is given up with an alarm when its time is over',
  async ({ reason }, { openJobHarness, database: { db }, databaseUrl }) => {
    const harness = await openJobHarness();
    const { account, terminal } = harness.account;
    const { id } = await acceptCallback(harness.dependencies, {
      channel: 'notify',
      contentType: undefined,
      body: formBody({
        account,
        terminal,
        merchant_reference_id: 'tok-nobody',
        quickpay_status: '0',
      }),
      sourceIp: undefined,
    });
    expect(await harness.run('notify.handle', { callbackId: id })).toBe('orphaned');
    const lines: string[] = [];
    const { settings } = harness.dependencies;
    const later = {
      ...harness.dependencies,
      logger: createLogger({ level: 'error', destination: { write: (line) => lines.push(line) } }),
      settings:
        reason === 'unknown_account'
          ? settings
          : {
              ...settings,
              signatures: { ...settings.signatures, notify: { mode: 'verify' as const } },
            },
    } as const;
    if (reason === 'unknown_account') {
      const key = { name: 'default', family: 'accept_payments' } as const;
      await removeCredential(harness.dependencies, key, testActor);
    }
    const judge = async () => await harness.run('notify.handle', { callbackId: id }, later);
    const look = async (state: CallbackRow['state']) => await findDueCallbacks(db, state, 10);
    expect(await judge()).toBe('still_orphaned');
    expect(await look('orphaned')).toEqual([]);
    expect(lines).toEqual([]);
    await withClient(databaseUrl, async (client) => {
      await client.query(
        "update token_lifecycle.callback set due_at = due_at - interval '2 days' where id = $1",
        [id],
      );
    });
    expect(await look('orphaned')).toHaveLength(1);
    expect(await judge()).toBe('abandoned');
    expect(await harness.events(id)).toEqual([
      'callback.received',
      'callback.orphaned',
      'callback.abandoned',
    ]);
    expect(await look('orphaned')).toEqual([]);
    expect(lines).toEqual([expect.stringContaining(reason)]);
  },
);

test('an orphan that is parked while its tokenization is being written looks for it once more', async ({
  openJobHarness,
  databaseUrl,
}) => {
  const harness = await openJobHarness();
  const { account, terminal } = harness.account;
  const { id } = await acceptCallback(harness.dependencies, {
    channel: 'redirect',
    contentType: undefined,
    body: formBody({
      account,
      terminal,
      merchant_reference_id: 'tok-racing',
      quickpay_status: '-1',
    }),
    sourceIp: undefined,
  });
  const judge = async () =>
    await runJob('callback.verify', { callbackId: id }, harness.dependencies);
  expect(await judge()).toEqual({ kind: 'snooze', delayMs: 5_000, result: 'orphaned' });
  await withClient(databaseUrl, async (client) => {
    // What the tokenization's transaction saw when it began: no orphan.
    await client.query(
      'alter table token_lifecycle.tokenization disable trigger tokenization_appeared',
    );
  });
  await acceptTokenization(harness.dependencies, requestPayload({ referenceId: 'tok-racing' }), {
    audit: { actor: testActor },
  });
  expect(await judge()).toMatchObject({ kind: 'snooze', result: 'request_in_flight' });
  expect(await harness.events(id)).toContain('callback.matched');
});
