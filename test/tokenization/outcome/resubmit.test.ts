import { describe, expect } from 'vitest';
import type { TokenizationRow } from '../../../src/db/rows.ts';
import type { CreateReply } from '../../../src/gateway/client.ts';
import { requestConfirmation } from '../../../src/tokenization/outcome/request-confirmation.ts';
import { testActor } from '../../support/builders.ts';
import { hideReferences } from '../../support/faults/hidden-references.ts';
import { type JobHarness, redirectWithoutPush } from '../../support/harness/job-harness.ts';
import { test } from '../../support/harness/harness-test.ts';

const lostReply = { errorAfterEffectRate: 1, faultEndpoints: ['create' as const] };

/** Sends a request whose reply is lost and hides it from queries; the second `none` is due then. */
async function loseRequest(
  harness: JobHarness,
  hidden: Set<string>,
  remark = redirectWithoutPush,
  referenceId?: string,
): Promise<TokenizationRow> {
  harness.sandbox.setFaults(lostReply);
  const row = await harness.open(remark, true, referenceId);
  hidden.add(row.gateway_reference);
  await harness.confirm(row.id);
  await harness.makeDue(row.id);
  return row;
}

/** Loses a request, then resubmits it; the second attempt gets its reply. */
async function resubmitRequest(
  harness: JobHarness,
  hidden: Set<string>,
  remark = redirectWithoutPush,
): Promise<TokenizationRow> {
  const { id } = await loseRequest(harness, hidden, remark);
  expect(await harness.confirm(id)).toBe('resubmitted');
  harness.sandbox.setFaults({ errorAfterEffectRate: 0 });
  await harness.run('tokenization.request', { tokenizationId: id });
  return await harness.row(id);
}

describe('a lost request', () => {
  test('is resubmitted under a new reference after two answers "none" a minute apart', async ({
    openJobHarness,
  }) => {
    const { open, confirm, makeDue, row, run, sandbox } = await openJobHarness({
      faults: { errorRate5xx: 1, faultEndpoints: ['create'] },
    });
    const { id, gateway_reference: first } = await open(redirectWithoutPush);
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

  test('gets a reference of its own, also when two merchant references begin alike', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({ wrapGateway: hideReferences(hidden) });
    const alike = 'r'.repeat(48);
    const given: string[] = [];
    for (const end of ['01', '02']) {
      const { id } = await loseRequest(harness, hidden, redirectWithoutPush, `${alike}${end}`);
      expect(await harness.confirm(id)).toBe('resubmitted');
      given.push((await harness.row(id)).gateway_reference);
    }
    expect(new Set(given).size).toBe(2);
    expect(given.map((reference) => reference.length)).toEqual([50, 50]);
    await expect(harness.open(redirectWithoutPush, false, given[0] ?? '')).rejects.toMatchObject({
      code: 'reference_conflict',
    });
  });

  test('is not resubmitted once a signed push says that it succeeded, even while no query finds it', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      faults: lostReply,
      wrapGateway: hideReferences(hidden),
    });
    const { id, gateway_reference: reference } = await harness.open(redirectWithoutPush);
    hidden.add(reference);
    await harness.confirm(id);
    const push = { status: '1', quickpayId: '3f1c8c1e', isProven: true } as const;
    await harness.receive(id, 'notify', push);
    await harness.makeDue(id);
    await harness.confirm(id);
    expect(await harness.row(id)).toMatchObject({
      state: 'confirming',
      attempt: 1,
      evidence_index: null,
    });
  });

  test('is not resubmitted while a query of one of its references has no answer', async ({
    openJobHarness,
  }) => {
    const unanswered = new Set<string>();
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      wrapGateway: (gateway) => {
        const hiding = hideReferences(hidden)(gateway);
        return {
          ...hiding,
          queryQuickPay: async (account, lookup, call) =>
            lookup.by === 'merchantReferenceId' && unanswered.has(lookup.value)
              ? { kind: 'unknown', cause: 'timeout' }
              : await hiding.queryQuickPay(account, lookup, call),
        };
      },
    });
    const { id, gateway_reference: first } = await loseRequest(harness, hidden);
    await harness.confirm(id);
    await harness.run('tokenization.request', { tokenizationId: id });
    unanswered.add(first);
    hidden.add((await harness.row(id)).gateway_reference);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('rescheduled');
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', lost_answer: null });
  });

  test('is left to an operator after the last resubmission, and is queried by every reference', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmissionsMax: 2 },
      wrapGateway: hideReferences(hidden),
    });
    harness.sandbox.setFaults({ ...lostReply, autoDecisionMs: 0 });
    const { id } = await harness.open('sandbox:direct');
    const results: string[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      hidden.add((await harness.row(id)).gateway_reference);
      await harness.confirm(id);
      await harness.makeDue(id);
      results.push(await harness.confirm(id));
      await harness.run('tokenization.request', { tokenizationId: id });
    }
    expect(results).toEqual(['resubmitted', 'resubmitted', 'left_to_operator']);
    const row = await harness.row(id);
    expect(row).toMatchObject({ state: 'submit_unknown', review: 'lost_request', attempt: 3 });
    hidden.delete(row.merchant_reference_id);
    expect(await harness.confirm(id)).toBe('active');
  });

  test('is left to an operator under the policy manual, with one event', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'manual' },
      wrapGateway: hideReferences(hidden),
    });
    const { id } = await loseRequest(harness, hidden);
    expect(await harness.confirm(id)).toBe('left_to_operator');
    const { version } = await harness.row(id);
    expect(await harness.row(id)).toMatchObject({ review: 'lost_request', reconcile_at: null });
    expect(await harness.confirm(id)).toBe('left_to_operator');
    expect((await harness.row(id)).version).toBe(version);
  });

  test('that was left to an operator is queried again only when an operator asks for it', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'manual' },
      wrapGateway: hideReferences(hidden),
    });
    const { id } = await loseRequest(harness, hidden);
    await harness.confirm(id);
    await requestConfirmation(harness.dependencies, id, { actor: testActor });
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('left_to_operator');
    expect(await harness.row(id)).toMatchObject({ review: 'lost_request', reconcile_at: null });
  });
});

describe('a resubmitted request', () => {
  test('is activated by a token that appears under its abandoned reference', async ({
    openJobHarness,
  }) => {
    const { open, confirm, makeDue, row, run, sandbox, receive, decide } = await openJobHarness({
      faults: { ...lostReply, pendingVisible: false },
    });
    const { id } = await open(redirectWithoutPush);
    await confirm(id);
    await makeDue(id);
    expect(await confirm(id)).toBe('resubmitted');
    sandbox.setFaults({ errorAfterEffectRate: 0 });
    await run('tokenization.request', { tokenizationId: id });
    const { abandoned_references: abandoned } = await row(id);
    const failure = { status: '0', isProven: true } as const;
    const fields = { merchant_reference_id: abandoned[0] ?? '', order_reference_id: '' };
    const { result } = await receive(id, 'notify', { ...failure, fields });
    expect(result).toBe('abandoned_attempt');
    expect((await row(id)).state).toBe('awaiting_customer');
    await decide(id, 'approve');
    await confirm(id);
    expect((await row(id)).state).toBe('active');
    expect(Object.values(sandbox.state().tokensByMerchantReference)).toEqual([1]);
  });

  test('is flagged for review when a second token appears late', async ({ openJobHarness }) => {
    const hidden = new Set<string>();
    const gatewayState = { isSilent: false };
    const harness = await openJobHarness({
      wrapGateway: (gateway) => {
        const hiding = hideReferences(hidden)(gateway);
        return {
          ...hiding,
          queryQuickPay: async (account, lookup, call) =>
            gatewayState.isSilent && lookup.by === 'merchantReferenceId'
              ? { kind: 'unknown', cause: 'timeout' }
              : await hiding.queryQuickPay(account, lookup, call),
        };
      },
    });
    const { id, state, review } = await resubmitRequest(harness, hidden, 'sandbox:direct');
    expect([state, review]).toEqual(['active', null]);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('expiry_learned');
    await harness.makeDue(id);
    gatewayState.isSilent = true;
    expect(await harness.confirm(id)).toBe('no_answer');
    gatewayState.isSilent = false;
    expect(await harness.confirm(id)).toBe('rescheduled');
    hidden.clear();
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('in_review');
    const row = await harness.row(id);
    expect(row).toMatchObject({ state: 'active', review: 'second_token' });
    expect((await harness.events(id)).at(-1)).toBe('conflict.second_token');
    const { reconcile_at: check, expires_at: expiry } = row;
    expect(((expiry?.getTime() ?? 0) - (check?.getTime() ?? 0)) / 86_400_000).toBe(30);
  });

  test('that the gateway refused is still activated by a token of the lost attempt', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    let creates = 0;
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...hideReferences(hidden)(gateway),
        createQuickPay: async (...call) => {
          creates += 1;
          return creates === 1
            ? await gateway.createQuickPay(...call)
            : { kind: 'refused', gatewayCode: '80051', scope: 'customer' };
        },
      }),
    });
    const { id } = await resubmitRequest(harness, hidden, 'sandbox:direct');
    expect((await harness.row(id)).state).toBe('failed');
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('rescheduled');
    hidden.clear();
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('active');
  });

  test('under one reference is activated by the first attempt, once the gateway confirms it', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const replies: CreateReply[] = [];
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'same-reference', confirmPolicy: 'signed' },
      faults: { createIdempotency: 'second-token' },
      wrapGateway: (gateway) => ({
        ...hideReferences(hidden)(gateway),
        createQuickPay: async (...call) => {
          replies.push(await gateway.createQuickPay(...call));
          return replies.length === 1
            ? { kind: 'unknown', cause: 'timeout' }
            : (replies.at(-1) as CreateReply);
        },
      }),
    });
    const { id, gateway_reference: reference } = await harness.open(redirectWithoutPush);
    hidden.add(reference);
    await harness.confirm(id);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('resubmitted');
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(await harness.row(id)).toMatchObject({ attempt: 2, abandoned_references: [] });
    hidden.clear();
    const [first] = replies as Extract<CreateReply, { kind: 'redirect' }>[];
    const quickpayId = await harness.decide(id, 'approve', first?.url);
    const fields = { order_reference_id: first?.orderReferenceId ?? '' };
    const push = { status: '1', isProven: true, quickpayId, fields } as const;
    const { callback } = await harness.receive(id, 'notify', push);
    expect(callback).toMatchObject({ state: 'accepted', reason: null });
    expect((await harness.row(id)).state).toBe('active');
  });
});
