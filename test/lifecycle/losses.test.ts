import { expect } from 'vitest';
import { acceptCallback } from '../../src/jobs/accept-callback.ts';
import { storeCredential } from '../../src/jobs/store-credential.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/desk-test.ts';

const formBody = (values: Record<string, string>): Buffer =>
  Buffer.from(new URLSearchParams(values).toString());

test('a message that came before its account was known is kept in full when the gateway sends it again', async ({
  openDesk,
  database,
}) => {
  const { dependencies } = await openDesk();
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
  async ([, contentType, body], { openDesk }) => {
    const { dependencies, account } = await openDesk();
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
  openDesk,
}) => {
  const desk = await openDesk({
    wrapGateway: (gateway) => ({
      ...gateway,
      cancelQuickPay: async () => await Promise.resolve({ kind: 'refused', gatewayCode: 'BUSY' }),
      queryQuickPay: async () => await Promise.resolve({ kind: 'none', gatewayCode: 'BUSY' }),
    }),
  });
  const { id } = await desk.open('sandbox:direct');
  expect(await desk.run('token.disable', { tokenizationId: id })).toBe('look_again');
  expect(await desk.row(id)).toMatchObject({ state: 'disabling' });
});

test('a look that was queued before a token is disabled does not cancel it a second time', async ({
  openDesk,
}) => {
  const looks: string[] = [];
  const desk = await openDesk({
    wrapGateway: (gateway) => ({
      ...gateway,
      cancelQuickPay: async (...call) => {
        looks.push(await desk.confirm(id));
        return await gateway.cancelQuickPay(...call);
      },
    }),
  });
  const { id } = await desk.open('sandbox:direct');
  expect(await desk.run('token.disable', { tokenizationId: id })).toBe('disabled');
  expect(looks).toEqual(['not_due']);
  expect(desk.sandbox.state().calls.cancel).toBe(1);
});
