import { describe, expect } from 'vitest';
import { hideReferences } from '../../support/faults/hidden-references.ts';
import { test } from '../../support/harness/harness-test.ts';
import { redirectWithoutPush } from '../../support/harness/job-harness.ts';

describe("the gateway's answer", () => {
  test('a success activates the token without any message', async ({ openJobHarness }) => {
    const { open, confirm, decide, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await decide(id, 'approve');
    await confirm(id);
    expect((await row(id)).state).toBe('active');
  });

  test('a failure fails the tokenization without any message', async ({ openJobHarness }) => {
    const { open, confirm, decide, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await decide(id, 'decline');
    await confirm(id);
    expect((await row(id)).state).toBe('failed');
  });

  test('a success with another id than a proven push activates, and flags it for review', async ({
    openJobHarness,
  }) => {
    const { open, receive, confirm, decide, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await decide(id, 'approve');
    await receive(id, 'notify', { status: '1', quickpayId: 'another-id', isProven: true });
    await confirm(id);
    expect(await row(id)).toMatchObject({ state: 'active', review: 'evidence_id_differs' });
  });

  test('without a result the tokenization expires after its deadline, not before', async ({
    openJobHarness,
  }) => {
    const { open, confirm, makeDue, passDeadline, row } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    await makeDue(id);
    await confirm(id);
    expect((await row(id)).state).toBe('awaiting_customer');
    await passDeadline(id);
    await confirm(id);
    expect((await row(id)).state).toBe('expired');
  });

  test('a missing answer does not expire a tokenization after its deadline', async ({
    openJobHarness,
  }) => {
    const { open, confirm, passDeadline, row, sandbox } = await openJobHarness();
    const { id } = await open(redirectWithoutPush);
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    await passDeadline(id);
    await confirm(id);
    expect((await row(id)).state).toBe('awaiting_customer');
  });

  test('a tokenization without a result is flagged for review when its schedule ends', async ({
    openJobHarness,
  }) => {
    const { open, confirm, makeDue, row, alter } = await openJobHarness({
      settings: { reconcileScheduleMs: [1, 1] },
    });
    const { id } = await open(redirectWithoutPush);
    await alter(id, 'deadline_at = null');
    for (const result of ['rescheduled', 'schedule_over']) {
      await makeDue(id);
      expect(await confirm(id)).toBe(result);
    }
    expect(await row(id)).toMatchObject({ review: 'reconcile_exhausted', reconcile_at: null });
  });
});

describe('a request whose reply was lost, and whose result a signed push named', () => {
  test.for([
    ['1', 'pending'],
    ['0', 'none'],
  ] as const)(
    'is reported, and not sent again, where the push says %s and ten minutes of queries say %s',
    async ([status, view], { openJobHarness }) => {
      const hidden = new Set<string>();
      const harness = await openJobHarness({
        faults: { errorAfterEffectRate: 1, faultEndpoints: ['create'] },
        wrapGateway: hideReferences(hidden),
      });
      const { id, gateway_reference: reference } = await harness.open(redirectWithoutPush);
      if (view === 'none') hidden.add(reference);
      await harness.receive(id, 'notify', { status, isProven: true, quickpayId: 'q-1' });
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      expect((await harness.row(id)).state).toBe('confirming');
      await harness.alter(id, `lost_answer_at = lost_answer_at - interval '10 minutes'`);
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('redirect_lost');
      expect(await harness.row(id)).toMatchObject({ review: 'redirect_lost', attempt: 1 });
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
    },
  );
});
