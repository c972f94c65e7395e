import { expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import { replayCallback } from '../../src/callback/replay.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/harness/harness-test.ts';

test('a message whose reference PostgreSQL cannot store in full is replayed', async ({
  openJobHarness,
}) => {
  const { dependencies, account, run } = await openJobHarness();
  const fields = { account: account.account, terminal: account.terminal, quickpay_status: '1' };
  const { id } = await acceptCallback(dependencies, {
    channel: 'notify',
    contentType: 'application/json',
    body: Buffer.from(JSON.stringify({ ...fields, merchant_reference_id: '\ud800' })),
    sourceIp: undefined,
  });
  expect(await run('notify.handle', { callbackId: id })).toBe('rejected_grammar');
  expect(await replayCallback(dependencies, id, { actor: testActor })).toEqual({
    isReplayed: true,
  });
});
