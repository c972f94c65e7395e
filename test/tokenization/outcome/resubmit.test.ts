import { describe, expect } from 'vitest';
import type { CreateReply, GatewayClient } from '../../../src/gateway/client.ts';
import { requestConfirmation } from '../../../src/tokenization/outcome/request-confirmation.ts';
import { testActor } from '../../support/builders.ts';
import type { JobHarness } from '../../support/harness/job-harness.ts';
import { test } from '../../support/harness/harness-test.ts';

/** Requests whose reply is lost: what the gateway knows of them, and when. */

const quiet = 'sandbox:redirect+dropped';
const lost = { errorAfterEffectRate: 1, faultEndpoints: ['create' as const] };

/** A gateway that knows nothing of the references in `hidden`. */
function hiding(hidden: ReadonlySet<string>): (gateway: GatewayClient) => GatewayClient {
  return (gateway) => ({
    ...gateway,
    queryQuickPay: async (account, lookup, call) =>
      lookup.by === 'merchantReferenceId' && hidden.has(lookup.value)
        ? { kind: 'none', gatewayCode: '0404' }
        : await gateway.queryQuickPay(account, lookup, call),
  });
}

/** Has a request lost and, after two "none", sent again; its reply comes this time. */
async function sendAgain(
  harness: JobHarness,
  hidden: Set<string>,
  remark: string,
): Promise<string> {
  harness.sandbox.setFaults(lost);
  const { id, gateway_reference: reference } = await harness.open(remark);
  hidden.add(reference);
  await harness.confirm(id);
  await harness.makeDue(id);
  expect(await harness.confirm(id)).toBe('resubmitted');
  harness.sandbox.setFaults({ errorAfterEffectRate: 0 });
  await harness.run('tokenization.request', { tokenizationId: id });
  return id;
}

describe('a request that was sent again', () => {
  test('a second token whose record shows up late is found and flagged, whichever was used', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const silent = { is: false };
    const harness = await openJobHarness({
      wrapGateway: (gateway) => {
        const hides = hiding(hidden)(gateway);
        return {
          ...hides,
          queryQuickPay: async (account, lookup, call) =>
            silent.is && lookup.by === 'merchantReferenceId'
              ? { kind: 'unknown', cause: 'timeout' }
              : await hides.queryQuickPay(account, lookup, call),
        };
      },
    });
    const id = await sendAgain(harness, hidden, 'sandbox:direct');
    expect(await harness.row(id)).toMatchObject({ state: 'active', review: null });
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('expiry_learned');
    await harness.makeDue(id);
    silent.is = true;
    expect(await harness.confirm(id)).toBe('no_answer');
    silent.is = false;
    expect(await harness.confirm(id)).toBe('rescheduled');
    hidden.clear();
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('in_review');
    expect(await harness.row(id)).toMatchObject({ state: 'active', review: 'second_token' });
    expect((await harness.events(id)).at(-1)).toBe('conflict.second_token');
    const { reconcile_at: look, expires_at: end } = await harness.row(id);
    expect(((end?.getTime() ?? 0) - (look?.getTime() ?? 0)) / 86_400_000).toBe(30);
  });

  test('is sent a bounded number of times; then a person has to look, and all its references are asked about', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmissionsMax: 2 },
      wrapGateway: hiding(hidden),
    });
    harness.sandbox.setFaults({ ...lost, autoDecisionMs: 0 });
    const { id } = await harness.open('sandbox:direct');
    const ends: string[] = [];
    for (let turn = 0; turn < 3; turn += 1) {
      hidden.add((await harness.row(id)).gateway_reference);
      await harness.confirm(id);
      await harness.makeDue(id);
      ends.push(await harness.confirm(id));
      await harness.run('tokenization.request', { tokenizationId: id });
    }
    expect(ends).toEqual(['resubmitted', 'resubmitted', 'left_to_operator']);
    const row = await harness.row(id);
    expect(row).toMatchObject({ state: 'submit_unknown', review: 'lost_request', attempt: 3 });
    hidden.delete(row.merchant_reference_id);
    expect(await harness.confirm(id)).toBe('active');
  });

  test('without an answer about each of its references it is not sent once more', async ({
    openJobHarness,
  }) => {
    const silent = new Set<string>();
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      wrapGateway: (gateway) => {
        const hides = hiding(hidden)(gateway);
        return {
          ...hides,
          queryQuickPay: async (account, lookup, call) =>
            lookup.by === 'merchantReferenceId' && silent.has(lookup.value)
              ? { kind: 'unknown', cause: 'timeout' }
              : await hides.queryQuickPay(account, lookup, call),
        };
      },
    });
    harness.sandbox.setFaults(lost);
    const { id, gateway_reference: first } = await harness.open(quiet);
    hidden.add(first);
    await harness.confirm(id);
    await harness.makeDue(id);
    await harness.confirm(id);
    await harness.run('tokenization.request', { tokenizationId: id });
    silent.add(first);
    hidden.add((await harness.row(id)).gateway_reference);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('rescheduled');
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', none_count: 0 });
  });

  test('under the policy same-reference the success of the first attempt counts, once the gateway confirms it', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const replies: CreateReply[] = [];
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'same-reference', confirmPolicy: 'signed' },
      faults: { createIdempotency: 'second-token' },
      wrapGateway: (gateway) => ({
        ...hiding(hidden)(gateway),
        createQuickPay: async (...call) => {
          replies.push(await gateway.createQuickPay(...call));
          return replies.length === 1
            ? { kind: 'unknown', cause: 'timeout' }
            : (replies.at(-1) as CreateReply);
        },
      }),
    });
    const { id, gateway_reference: reference } = await harness.open(quiet);
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
    const said = { status: '1', isProven: true, quickpayId, fields } as const;
    const { callback } = await harness.receive(id, 'notify', said);
    expect(callback).toMatchObject({ state: 'accepted', reason: null });
    expect((await harness.row(id)).state).toBe('active');
  });

  test('under the policy manual it is left to an operator, who is told once', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'manual' },
      wrapGateway: hiding(hidden),
    });
    harness.sandbox.setFaults(lost);
    const { id, gateway_reference: reference } = await harness.open(quiet);
    hidden.add(reference);
    await harness.confirm(id);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('left_to_operator');
    const { version } = await harness.row(id);
    expect(await harness.row(id)).toMatchObject({ review: 'lost_request', reconcile_at: null });
    expect(await harness.confirm(id)).toBe('left_to_operator');
    expect((await harness.row(id)).version).toBe(version);
  });
});

describe('a request of unknown outcome', () => {
  test('is not sent again once a signed push speaks of it, although no query finds it yet', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({ faults: lost, wrapGateway: hiding(hidden) });
    for (const said of [
      { status: '-1', isProven: true },
      { status: '1', quickpayId: '3f1c8c1e', isProven: true },
    ] as const) {
      const { id, gateway_reference: reference } = await harness.open(quiet);
      hidden.add(reference);
      await harness.confirm(id);
      await harness.receive(id, 'notify', said);
      await harness.makeDue(id);
      await harness.confirm(id);
      expect(await harness.row(id)).toMatchObject({
        state: 'confirming',
        attempt: 1,
        evidence_index: null,
      });
    }
  });

  test('that is left to an operator is asked about no more, also after a look that got no answer', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      faults: lost,
      settings: { resubmitPolicy: 'manual' },
      wrapGateway: hiding(hidden),
    });
    const { id, gateway_reference: reference } = await harness.open(quiet);
    hidden.add(reference);
    await harness.confirm(id);
    await harness.makeDue(id);
    await harness.confirm(id);
    const audit = { actor: testActor } as const;
    await requestConfirmation(harness.dependencies, id, audit);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('left_to_operator');
    expect(await harness.row(id)).toMatchObject({ review: 'lost_request', reconcile_at: null });
  });

  test('two lost requests whose references begin alike are sent again under two references', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({ wrapGateway: hiding(hidden) });
    const alike = 'r'.repeat(48);
    const given: string[] = [];
    for (const end of ['01', '02']) {
      harness.sandbox.setFaults(lost);
      const { id, gateway_reference: first } = await harness.open(quiet, true, `${alike}${end}`);
      hidden.add(first);
      await harness.confirm(id);
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('resubmitted');
      given.push((await harness.row(id)).gateway_reference);
    }
    expect(new Set(given).size).toBe(2);
    expect(given.map((reference) => reference.length)).toEqual([50, 50]);
    await expect(harness.open(quiet, false, given[0] ?? '')).rejects.toMatchObject({
      code: 'reference_conflict',
    });
  });

  test('a refusal of what was sent again does not end the search for what the lost request brought', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    let creates = 0;
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...hiding(hidden)(gateway),
        createQuickPay: async (...call) => {
          creates += 1;
          return creates === 1
            ? await gateway.createQuickPay(...call)
            : { kind: 'refused', gatewayCode: '80051' };
        },
      }),
    });
    harness.sandbox.setFaults(lost);
    const { id, gateway_reference: first } = await harness.open('sandbox:direct');
    hidden.add(first);
    await harness.confirm(id);
    await harness.makeDue(id);
    await harness.confirm(id);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect((await harness.row(id)).state).toBe('failed');
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('rescheduled');
    hidden.clear();
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('active');
  });

  test('that was granted is active as soon as the gateway is asked', async ({ openJobHarness }) => {
    const harness = await openJobHarness({ faults: lost });
    const { id } = await harness.open('sandbox:direct');
    expect((await harness.row(id)).state).toBe('submit_unknown');
    expect(await harness.confirm(id)).toBe('active');
  });

  test('an intent stands while its lease lasts', async ({ openJobHarness }) => {
    const looks: string[] = [];
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          looks.push(await harness.confirm(id));
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await harness.open(quiet, false);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(looks).toEqual(['lease_held']);
  });

  test('a reply that comes after its request was sent again is not taken for the new one', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    let isFirst = true;
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...hiding(hidden)(gateway),
        createQuickPay: async (...call) => {
          const reply = await gateway.createQuickPay(...call);
          if (!isFirst) return { kind: 'unknown', cause: 'timeout' };
          isFirst = false;
          hidden.add((await harness.row(id)).gateway_reference);
          await harness.makeDue(id);
          for (const _ of ['lease over', 'none', 'none again']) {
            await harness.confirm(id);
            await harness.makeDue(id);
          }
          await harness.run('tokenization.request', { tokenizationId: id });
          return reply;
        },
      }),
    });
    const { id } = await harness.open(quiet, false);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', attempt: 2 });
  });
});
