import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import type { CallbackEnvelope } from '../../src/gateway/callback-message.ts';
import { envelopes, sentFields } from '../support/envelopes.ts';
import { eventually } from '../support/eventually.ts';
import { openShop } from '../support/harness/shop.ts';
import { test } from '../support/harness/worker-test.ts';

async function send(url: string, envelope: CallbackEnvelope): Promise<Response> {
  const { contentType, contentEncoding, query, body } = envelope;
  return await fetch(query === undefined ? url : `${url}?${query}`, {
    method: 'POST',
    redirect: 'manual',
    headers: {
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      ...(contentEncoding === undefined ? {} : { 'content-encoding': contentEncoding }),
    },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
}

describe('a message in each envelope', () => {
  test.for(['notify', 'redirect'] as const)(
    'activates its token over %s, although no query is scheduled',
    async (channel, { startWorker }) => {
      const worker = await startWorker({
        env: { RECONCILE_SCHEDULE_MS: '3000000', AWAITING_CUSTOMER_DEADLINE_MS: '86400000' },
      });
      const shop = openShop(worker);
      await Promise.all(
        envelopes.map(async ([, wrap], index) => {
          const referenceId = `envelope-${index}`;
          const returnUrl = 'https://shop.example/back';
          const remark = 'sandbox:redirect+dropped';
          await shop.accept({ referenceId, remark }, { returnUrl });
          const row = await shop.until(referenceId, 'awaiting_customer');
          const { fields } = await shop.decide(row, 'approve');
          const sent = {
            ...sentFields,
            account: worker.account.account,
            terminal: worker.account.terminal,
            order_reference_id: row.order_reference_id ?? '',
            merchant_reference_id: referenceId,
            quickpay_id: new Map(fields).get('quickpay_id') ?? '',
          };
          const answer = await send(`${worker.app.urls?.public}/callbacks/${channel}`, wrap(sent));
          if (channel === 'notify') expect(await answer.text()).toBe('receive-ok');
          else expect(answer.headers.get('location')).toContain(returnUrl);
          await shop.until(referenceId, 'active');
        }),
      );
      const { db } = worker.app.operations;
      const rows = await db.selectFrom('callback').select(['state', 'reason']).execute();
      expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['accepted']));
      expect(await findAuditBreaks(db)).toEqual([]);
    },
  );
});

describe('the encodings of the gateway', () => {
  test('all of them are read, and what cannot be read is unknown', async ({ startWorker }) => {
    const worker = await startWorker({
      env: { RECONCILE_SCHEDULE_MS: '100,100,100,100,3000000' },
    });
    const { sandbox, logs } = worker;
    const shop = openShop(worker);
    for (const replyEnvelope of ['bom', 'utf-16', 'gzip', 'data-as-text'] as const) {
      sandbox.setFaults({ replyEnvelope });
      await shop.accept({ referenceId: replyEnvelope, remark: 'sandbox:redirect+dropped' });
      await shop.decide(await shop.until(replyEnvelope, 'awaiting_customer'), 'approve');
      await shop.until(replyEnvelope, 'active');
    }
    sandbox.setFaults({ replyEnvelope: 'plain' });
    for (const pushFormat of ['xml', 'json', 'form', 'multipart'] as const) {
      sandbox.setFaults({ pushFormat });
      await shop.accept({ referenceId: pushFormat, remark: 'sandbox:approve' });
      await shop.until(pushFormat, 'active');
    }
    sandbox.setFaults({ expiryTime: '0000-00-00' });
    const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
    const line = await eventually('it is logged', () =>
      logs.find((entry) => entry.includes('expiryTime')),
    );
    expect(JSON.parse(line)).toMatchObject({
      tokenizationId: tokenization.id,
      shape: '9999-99-99',
    });
    const created = sandbox.state().calls.create;
    for (const replyEnvelope of ['unreadable-data', 'data-elsewhere'] as const) {
      sandbox.setFaults({ replyEnvelope });
      const referenceId = `lost-${replyEnvelope}`;
      await shop.accept({ referenceId, remark: 'sandbox:redirect+lost-reply' });
      await eventually('it was queried', async () => {
        const row = await shop.find(referenceId);
        return row !== undefined && row.reconcile_step >= 4;
      });
      expect(await shop.until(referenceId, 'submit_unknown')).toMatchObject({
        attempt: 1,
        lost_answer: 'unreadable',
      });
    }
    expect(sandbox.state().calls.create - created).toBe(2);
  });
});
