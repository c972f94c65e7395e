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

describe('attempts', () => {
  it('stop at receive-ok with status 200', async () => {
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes).toHaveLength(1);
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
  ])('are five and then no more when the answer is %o', async (answer) => {
    receiver.answer = answer;
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes).toHaveLength(5);
    const times = receiver.pushes.map((_push, index) => fieldsAt(index)['push_dateTime']);
    expect(new Set(times).size).toBe(5);
    expect(times).toStrictEqual(times.toSorted((a = '', b = '') => a.localeCompare(b)));
    const signatures = receiver.pushes.map((_push, index) => fieldsAt(index)['signature']);
    expect(new Set(signatures).size).toBe(1);
  });

  it('go on until the first acknowledgement', async () => {
    receiver.answer = { status: 500, body: '' };
    const events: number[] = [];
    const own = await startSandbox({
      pushScheduleMs: [0, 5, 10, 15, 20],
      faults: { autoDecisionMs: 0 },
      onEvent(event) {
        if (event.type !== 'push') return;
        events.push(event.attempt);
        if (event.attempt === 2) receiver.answer = { status: 200, body: 'receive-ok\n' };
      },
    });
    await clientOf(own).create('ref-1', { remark: 'sandbox:approve', notifyUrl: receiver.url });
    await own.settled();
    await own.close();
    expect(events).toStrictEqual([1, 2, 3]);
  });

  it('are counted also when nobody listens', async () => {
    await client.create('ref-1', { remark: 'sandbox:approve', notifyUrl: 'http://127.0.0.1:1/' });
    await sandbox.settled();
    const [push] = sandbox.state().creations[0]?.pushes ?? [];
    expect(push?.attempts.map(({ httpStatus }) => httpStatus)).toStrictEqual(Array(5).fill(null));
  });

  it('end with close, whatever was still scheduled', async () => {
    const own = await startSandbox({ pushScheduleMs: [0, 60_000], faults: { autoDecisionMs: 0 } });
    receiver.answer = { status: 500, body: '' };
    await clientOf(own).create('ref-1', { remark: 'sandbox:approve', notifyUrl: receiver.url });
    await expect.poll(() => receiver.pushes.length).toBe(1);
    await own.close();
    await own.settled();
    expect(receiver.pushes).toHaveLength(1);
  });
});

describe('content', () => {
  it('is XML with the names of the redirect, signed by list Q1', async () => {
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes[0]?.contentType).toContain('application/xml');
    const fields = fieldsAt(0);
    expect(fields).toMatchObject({ code: '000', quickpay_status: '1', order_amount: '12.50' });
    expect(fields['merchant_reference_id']).toBe('ref-1');
    expect(fields['signature']).toBe(signatureOf(signatureLists.Q1, fields));
  });

  it('escapes in XML what the merchant sent', async () => {
    sandbox.setFaults({ pushSignature: 'Q3' });
    const methods = `<a>&"'`;
    await client.create('ref-1', {
      methods,
      remark: 'sandbox:approve',
      notifyUrl: receiver.url,
    });
    await sandbox.settled();
    expect(fieldsAt(0)['order_methods']).toBe(methods);
    expect(fieldsAt(0)['signature']).toBe(signatureOf(signatureLists.Q3, fieldsAt(0)));
  });

  it('is flat JSON under json and keeps repeated names under form', async () => {
    sandbox.setFaults({ pushFormat: 'json' });
    await createAndSettle('sandbox:approve');
    expect(receiver.pushes[0]?.contentType).toContain('application/json');
    expect(JSON.parse(receiver.pushes[0]?.body ?? '')).toMatchObject({ quickpay_status: '1' });
    sandbox.setFaults({ pushFormat: 'form' });
    await client.create('ref-2', { remark: 'sandbox:approve', notifyUrl: receiver.url });
    await sandbox.settled();
    expect(receiver.pushes[1]?.contentType).toContain('application/x-www-form-urlencoded');
    const form = new URLSearchParams(receiver.pushes[1]?.body);
    expect(form.getAll('card_number')).toHaveLength(2);
    expect(form.get('merchant_reference_id')).toBe('ref-2');
  });

  it.each(['Q1', 'Q2', 'Q3'] as const)('is signed by list %s when switched so', async (rule) => {
    sandbox.setFaults({ pushSignature: rule });
    await createAndSettle('sandbox:approve');
    expect(fieldsAt(0)['signature']).toBe(signatureOf(signatureLists[rule], fieldsAt(0)));
  });

  it('has no signature under none and a wrong one under wrong', async () => {
    sandbox.setFaults({ pushSignature: 'none' });
    await createAndSettle('sandbox:approve');
    expect(fieldsAt(0)).not.toHaveProperty('signature');
    sandbox.setFaults({ pushSignature: 'wrong' });
    await client.create('ref-2', { remark: 'sandbox:approve', notifyUrl: receiver.url });
    await sandbox.settled();
    const fields = fieldsAt(1);
    expect(fields['signature']).toMatch(/^[0-9A-F]{64}$/);
    expect(fields['signature']).not.toBe(signatureOf(signatureLists.Q1, fields));
  });

  it('tells a failure without a token id', async () => {
    await createAndSettle('sandbox:decline');
    expect(fieldsAt(0)).toMatchObject({ quickpay_status: '0', quickpay_id: '' });
  });
});
