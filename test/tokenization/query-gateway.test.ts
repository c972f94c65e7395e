import { describe, expect } from 'vitest';
import type { QueryReply, QuickPayRecord } from '../../src/gateway/replies.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';

const otherRecord: QuickPayRecord = {
  quickpayId: undefined,
  status: 'pending',
  rawStatus: '-1',
  expiryTime: undefined,
  orderReferenceId: '260401093541829655068',
  merchantReferenceId: 'plus 1-1',
  customerId: undefined,
};

describe('an answer that the worker cannot relate to its query', () => {
  test.for<[string, QueryReply]>([
    ['records under an altered reference', { kind: 'found', records: [otherRecord] }],
    ['unreadable data', { kind: 'unknown', cause: 'body_unreadable' }],
  ])('%s never lets the worker send a request again', async ([, reply], { openJobHarness }) => {
    const harness = await openJobHarness({
      faults: { hangAfterEffectRate: 1, faultEndpoints: ['create'] },
      wrapGateway: (gateway) => ({
        ...gateway,
        queryQuickPay: async () => await Promise.resolve(reply),
      }),
    });
    const { id } = await harness.open(redirectWithoutPush);
    expect((await harness.row(id)).state).toBe('submit_unknown');
    for (let asked = 0; asked < 3; asked += 1) {
      await harness.makeDue(id);
      await harness.confirm(id);
    }
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', attempt: 1 });
    expect(harness.sandbox.state().calls.create).toBe(1);
  });
});
