import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/harness/harness-test.ts';

const formBody = (values: Record<string, string>): Buffer =>
  Buffer.from(new URLSearchParams(values).toString());

describe('accepting a message', () => {
  test('a repeated message is stored in full once its account is known', async ({
    openJobHarness,
    database,
  }) => {
    const { dependencies } = await openJobHarness();
    const account = { account: '777777', terminal: '77777701' };
    const accept = async (pushTime: string) =>
      await acceptCallback(dependencies, {
        channel: 'notify',
        contentType: undefined,
        body: formBody({
          ...account,
          merchant_reference_id: 'tok-later',
          quickpay_status: '1',
          order_remark: 'x'.repeat(500),
          push_dateTime: pushTime,
        }),
        sourceIp: undefined,
      });
    await accept('1');
    await accept('2');
    await storeCredential(
      dependencies,
      {
        name: 'second',
        environment: 'sandbox',
        family: 'accept_payments',
        ...account,
        secrets: { secureCode: 'abcdefgh' },
      },
      testActor,
    );
    await accept('3');
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
      "a character that its column's length cuts in two",
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
    'a message about a known account is stored although its reference holds %s',
    async ([, contentType, body], { openJobHarness }) => {
      const { dependencies, account } = await openJobHarness();
      const stored = await acceptCallback(dependencies, {
        channel: 'notify',
        contentType,
        body: body(account.account, account.terminal),
        sourceIp: undefined,
      });
      expect(stored.isDuplicate).toBe(false);
    },
  );
});
