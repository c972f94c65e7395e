import { describe, expect, it } from 'vitest';
import { startSandbox } from '../../../src/sandbox/sandbox.ts';
import { clientOf } from '../client.ts';
import { pushScheduleMs, usePushes } from '../push-harness.ts';

const harness = await usePushes();
const { sandbox, client, createAndSettle, fieldsAt } = harness;

describe('attempts', () => {
  it('stop at status 200 with receive-ok', async () => {
    await createAndSettle('sandbox:approve');
    expect(harness.receiver.pushes).toHaveLength(1);
    expect(sandbox.state().creations[0]?.pushes).toStrictEqual([
      {
        kind: 'result',
        attempts: [
          {
            at: expect.any(String),
            pushDateTime: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/),
            httpStatus: 200,
            answer: 'receive-ok',
            isAcknowledged: true,
          },
        ],
      },
    ]);
  });

  it.each([
    { status: 200, body: 'ok' },
    { status: 503, body: 'receive-ok' },
    { status: 303, body: 'receive-ok' },
  ])('end after five when the merchant answers %o', async (answer) => {
    harness.receiver.answer = answer;
    await createAndSettle('sandbox:approve');
    expect(harness.receiver.pushes).toHaveLength(5);
    const times = harness.receiver.pushes.map((_push, index) => fieldsAt(index)['push_dateTime']);
    expect(new Set(times).size).toBe(5);
    expect(times).toStrictEqual(times.toSorted((a = '', b = '') => a.localeCompare(b)));
    const signatures = harness.receiver.pushes.map((_push, index) => fieldsAt(index)['signature']);
    expect(new Set(signatures).size).toBe(1);
  });

  it('continue until the merchant acknowledges', async () => {
    harness.receiver.answer = { status: 500, body: '' };
    const attempts: number[] = [];
    const own = await startSandbox({
      pushScheduleMs,
      faults: { autoDecisionMs: 0 },
      onEvent(event) {
        if (event.type !== 'push') return;
        attempts.push(event.attempt);
        if (event.attempt === 2) harness.receiver.answer = { status: 200, body: 'receive-ok\n' };
      },
    });
    await clientOf(own).create('ref-1', {
      remark: 'sandbox:approve',
      notifyUrl: harness.receiver.url,
    });
    await own.settled();
    await own.close();
    expect(attempts).toStrictEqual([1, 2, 3]);
  });

  it('are recorded without a status when the merchant is unreachable', async () => {
    await client.create('ref-1', { remark: 'sandbox:approve', notifyUrl: 'http://127.0.0.1:1/' });
    await sandbox.settled();
    const [push] = sandbox.state().creations[0]?.pushes ?? [];
    expect(push?.attempts.map(({ httpStatus }) => httpStatus)).toStrictEqual(Array(5).fill(null));
  });

  it('end with close, scheduled ones included', async () => {
    const own = await startSandbox({ pushScheduleMs: [0, 60_000], faults: { autoDecisionMs: 0 } });
    harness.receiver.answer = { status: 500, body: '' };
    await clientOf(own).create('ref-1', {
      remark: 'sandbox:approve',
      notifyUrl: harness.receiver.url,
    });
    await expect.poll(() => harness.receiver.pushes.length).toBe(1);
    await own.close();
    await own.settled();
    expect(harness.receiver.pushes).toHaveLength(1);
  });
});
