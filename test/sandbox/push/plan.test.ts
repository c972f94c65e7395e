import { XMLParser } from 'fast-xml-parser';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../../src/sandbox/sandbox.ts';
import { clientOf } from '../client.ts';
import { type Receiver, startReceiver } from '../receiver.ts';
import { signatureLists, signatureOf } from '../signature.ts';

let sandbox: Sandbox;
let client: ReturnType<typeof clientOf>;
let receiver: Receiver;

beforeAll(async () => {
  sandbox = await startSandbox({
    faults: { autoDecisionMs: 0 },
    pushScheduleMs: [0, 5, 10, 15, 20],
  });
  client = clientOf(sandbox);
});
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(async () => {
  await fetch(`${sandbox.url}/sandbox/reset`, { method: 'POST' });
  await receiver.close();
});
afterAll(() => sandbox.close());

async function createAndSettle(remark: string): Promise<void> {
  await client.create('ref-1', { remark, notifyUrl: receiver.url });
  await sandbox.settled();
}

function fieldsAt(index: number): Record<string, string> {
  const body = receiver.pushes.at(index)?.body ?? '';
  const parser = new XMLParser({ parseTagValue: false });
  return (parser.parse(body) as { response: Record<string, string> }).response;
}

function pushKinds(): string[] {
  return sandbox.state().creations.flatMap(({ pushes }) => pushes.map(({ kind }) => kind));
}

describe('notification faults', () => {
  it('duplicatePushes sends copies that differ in their push time only', async () => {
    sandbox.setFaults({ duplicatePushes: 2 });
    await createAndSettle('sandbox:approve');
    expect(pushKinds()).toStrictEqual(['result', 'duplicate', 'duplicate']);
    const bodies = receiver.pushes.map(({ body }) => body);
    expect(new Set(bodies).size).toBe(3);
    const bare = bodies.map((body) => body.replace(/<push_dateTime>[^<]*/, ''));
    expect(new Set(bare).size).toBe(1);
  });

  it('contradictingPush follows the success with a signed failure that queries do not share', async () => {
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

  it('forgedPushes sends a wrong signature, then right ones over shifted fields, once each', async () => {
    sandbox.setFaults({ forgedPushes: 3 });
    receiver.answer = { status: 500, body: '' };
    await createAndSettle('sandbox:approve');
    expect(pushKinds()).toStrictEqual(['forged', 'forged', 'forged', 'result']);
    expect(receiver.pushes).toHaveLength(3 + 5);
    const token = (await client.queryReference('ref-1')).data.quickpay.id as string;
    const [foreign, shifted, gained] = [fieldsAt(0), fieldsAt(1), fieldsAt(2)];
    expect(foreign['quickpay_id']).not.toBe(token);
    expect(foreign['signature']).not.toBe(signatureOf(signatureLists.Q1, foreign));
    expect(shifted['signature']).toBe(signatureOf(signatureLists.Q1, shifted));
    expect(shifted['quickpay_id']).toBe(token.slice(0, -1));
    expect(shifted['quickpay_status']).toBe(`${token.slice(-1)}1`);
    expect(gained['signature']).toBe(signatureOf(signatureLists.Q1, gained));
    expect(gained).toMatchObject({ merchant_reference_id: 'ref-', quickpay_id: `1${token}` });
  });

  it('forges successes for a customer who left, and a shifted message for one who declined', async () => {
    sandbox.setFaults({ forgedPushes: 2, dropPushes: true });
    const { data } = await client.create('ref-1', { notifyUrl: receiver.url });
    await client.decide(data.order.referenceId, 'abandon');
    await sandbox.settled();
    expect([0, 1].map((index) => fieldsAt(index)['quickpay_status'])).toStrictEqual(['1', '1']);
    await client.decide(data.order.referenceId, 'decline');
    await sandbox.settled();
    const shifted = fieldsAt(3);
    expect(shifted['merchant_reference_id']).toBe('ref-');
    expect(shifted['signature']).toBe(signatureOf(signatureLists.Q1, shifted));
  });

  it('dropPushes sends nothing', async () => {
    sandbox.setFaults({ dropPushes: true });
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes).toStrictEqual([]);
    expect((await client.queryReference('ref-1')).data.quickpay.status).toBe('1');
  });

  it('latePushMs holds the first push back', async () => {
    sandbox.setFaults({ latePushMs: 150 });
    const startedAtMs = performance.now();
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes).toHaveLength(1);
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
  ])('%s changes the pushes of this creation only', async (remark, kinds) => {
    await createAndSettle(remark);
    expect(pushKinds()).toStrictEqual(kinds);
    await client.create('ref-2', { remark: 'sandbox:approve', notifyUrl: receiver.url });
    await sandbox.settled();
    expect(pushKinds()).toStrictEqual([...kinds, 'result']);
  });
});
