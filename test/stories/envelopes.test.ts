import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import type { CallbackEnvelope } from '../../src/gateway/callback-message.ts';
import { envelopes, sentFields } from '../support/envelopes.ts';
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
