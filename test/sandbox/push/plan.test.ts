import { describe, expect, it } from 'vitest';
import { usePushes } from '../push-harness.ts';
import { signatureLists, signatureOf } from '../signature.ts';

const harness = await usePushes();
const { sandbox, client, createAndSettle, fieldsAt, pushKinds } = harness;

describe('push faults', () => {
  it('duplicatePushes sends copies that differ only in their push time', async () => {
    sandbox.setFaults({ duplicatePushes: 2 });
    await createAndSettle('sandbox:approve');
    expect(pushKinds()).toStrictEqual(['result', 'duplicate', 'duplicate']);
    const bodies = harness.receiver.pushes.map(({ body }) => body);
    expect(new Set(bodies).size).toBe(3);
    const withoutTime = bodies.map((body) => body.replace(/<push_dateTime>[^<]*/, ''));
    expect(new Set(withoutTime).size).toBe(1);
  });

  it('contradictingPush sends a signed failure that queries do not confirm', async () => {
    sandbox.setFaults({ contradictingPush: true });
    await createAndSettle('sandbox:approve');
    const statuses = [0, 1].map((index) => fieldsAt(index)['quickpay_status']);
    expect(statuses).toStrictEqual(['1', '0']);
    expect(fieldsAt(1)['signature']).toBe(signatureOf(signatureLists.Q1, fieldsAt(1)));
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('reorderPushes sends the failure before the success', async () => {
    sandbox.setFaults({ contradictingPush: true, reorderPushes: true });
    await createAndSettle('sandbox:approve');
    const statuses = [0, 1].map((index) => fieldsAt(index)['quickpay_status']);
    expect(statuses).toStrictEqual(['0', '1']);
  });

  it('dropPushes sends no push, and queries answer success', async () => {
    sandbox.setFaults({ dropPushes: true });
    await createAndSettle('sandbox:approve');
    expect(harness.receiver.pushes).toStrictEqual([]);
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('latePushMs delays the first push', async () => {
    sandbox.setFaults({ latePushMs: 150 });
    const startedAtMs = performance.now();
    await createAndSettle('sandbox:approve');
    expect(harness.receiver.pushes).toHaveLength(1);
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(149);
  });
});

describe('modifiers in a remark', () => {
  it.each([
    ['sandbox:approve+duplicated', ['result', 'duplicate']],
    ['sandbox:approve+contradicting', ['result', 'contradicting']],
    ['sandbox:decline+contradicting', ['result']],
    ['sandbox:direct+forged', ['forged', 'forged', 'forged', 'result']],
    ['sandbox:approve+dropped', []],
    ['sandbox:refuse+duplicated', []],
  ])('%s changes only the pushes of its creation', async (remark, kinds) => {
    await createAndSettle(remark);
    expect(pushKinds()).toStrictEqual(kinds);
    await createAndSettle('sandbox:approve', 'ref-2');
    expect(pushKinds()).toStrictEqual([...kinds, 'result']);
  });
});
