import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import { replayCallback } from '../../src/callback/replay.ts';
import { findCallback } from '../../src/db/callbacks.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/harness/harness-test.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';

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

  test.for([
    ['half of a character as its account', '{"account":"\\ud800","terminal":"99514901"}'],
    ['half of a character as its terminal', '{"account":"995149","terminal":"9\\udc00"}'],
    ['a long account', JSON.stringify({ account: '9'.repeat(60_000), terminal: '99514901' })],
    ['personal data', JSON.stringify({ account: 'ada@shop.example', terminal: 'Ada, 1 Main St' })],
  ] as const)(
    'a message to a per-request URL is stored, and never in the clear: %s',
    async ([, body], { openJobHarness }) => {
      const harness = await openJobHarness();
      const { dependencies } = harness;
      const { id: addressedTo } = await harness.open(redirectWithoutPush);
      const { id } = await acceptCallback(dependencies, {
        channel: 'redirect',
        contentType: 'application/json',
        body: Buffer.from(body),
        sourceIp: undefined,
        addressedTo,
        // Long ago, so that it is judged without a second query.
        receivedAt: new Date(Date.now() - 3_600_000),
      });
      await harness.run('callback.verify', { callbackId: id });
      const row = await findCallback(dependencies.db, id);
      expect([row?.account, row?.terminal, row?.reason]).toEqual([null, null, 'unreadable']);
      await expect(replayCallback(dependencies, id, { actor: testActor })).rejects.toMatchObject({
        code: 'state_forbids',
      });
    },
  );
});
