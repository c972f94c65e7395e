import { afterEach, describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { listCallbacks } from '../../src/db/callbacks.ts';
import { withClient } from '../../src/db/database.ts';
import type { CallbackRow } from '../../src/db/rows.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { computeSignature, signatureText } from '../../src/gateway/signature.ts';
import { replayCallback } from '../../src/callback/replay.ts';
import { Secret } from '../../src/security/secret.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openShop, type Shop } from '../support/harness/shop.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const operator = { actor: { type: 'operator', id: 'test' } } as const;

let worker: TestWorker | undefined;

afterEach(async () => {
  await worker?.close();
  worker = undefined;
});

async function start(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ running: TestWorker; shop: Shop }> {
  const started = await startTestWorker({ databaseUrl, backend: 'postgres', env });
  if (started === undefined) throw new Error('the backend on PostgreSQL is always there');
  worker = started;
  return { running: started, shop: openShop(started) };
}

async function untilCallback(
  { app }: TestWorker,
  state: CallbackRow['state'],
): Promise<CallbackRow> {
  return await eventually(
    `a callback becomes ${state}`,
    async () => (await listCallbacks(app.operations.db, state, 1))[0],
  );
}

async function eventsOf({ app }: TestWorker, id: string): Promise<readonly string[]> {
  const rows = await app.operations.db
    .selectFrom('audit_event')
    .select('event')
    .where('entity_id', '=', id)
    .orderBy('version')
    .execute();
  return rows.map(({ event }) => event);
}

describe('messages without a tokenization', () => {
  test('a push that comes before its request is matched the moment the request appears, without a scan', async ({
    databaseUrl,
  }) => {
    const { running, shop } = await start(databaseUrl, { SCAN_INTERVAL_MS: '3600000' });
    await shop.forge('notify', { merchant_reference_id: 'early-1', quickpay_status: '-1' });
    const { id } = await untilCallback(running, 'orphaned');
    await shop.accept({ referenceId: 'early-1', remark: 'sandbox:direct' });
    await eventually('it is judged', async () => (await eventsOf(running, id)).length === 4);
    expect(await eventsOf(running, id)).toEqual([
      'callback.received',
      'callback.orphaned',
      'callback.matched',
      'callback.accepted',
    ]);
  });

  test('a push that names the reference of the gateway only is matched once we have learned it, without a scan', async ({
    databaseUrl,
  }) => {
    const { running, shop } = await start(databaseUrl, { SCAN_INTERVAL_MS: '3600000' });
    const { tokenization } = await shop.accept();
    const row = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    const { db } = running.app.operations;
    await shop.forge('notify', {
      order_reference_id: row.order_reference_id ?? '',
      quickpay_status: '-1',
    });
    const accepted = await untilCallback(running, 'accepted');
    expect(accepted.tokenization_id).toBe(row.id);
    await shop.forge('notify', { order_reference_id: '2604010935418296', quickpay_status: '-1' });
    const orphan = await untilCallback(running, 'orphaned');
    await withClient(databaseUrl, async (client) => {
      await client.query(
        "update token_lifecycle.tokenization set order_reference_id = '2604010935418296' where id = $1",
        [row.id],
      );
    });
    await eventually('it is matched', async () => {
      const [found] = await listCallbacks(db, 'accepted', 1);
      return found?.id === orphan.id;
    });
  });

  test('a push whose tokenization never appears is given up with an alarm', async ({
    databaseUrl,
  }) => {
    const { running, shop } = await start(databaseUrl, { CALLBACK_ORPHAN_MAX_AGE_MS: '1000' });
    await shop.forge('notify', {
      merchant_reference_id: 'never',
      quickpay_status: '1',
      quickpay_id: 'q1',
    });
    const { id } = await untilCallback(running, 'abandoned');
    expect(running.logs.some((line) => line.includes('"level":50') && line.includes(id))).toBe(
      true,
    );
    const metrics = await (await fetch(`${running.app.urls?.private}/metrics`)).text();
    expect(metrics).toMatch(/event="callback\.abandoned"\} 1/);
    expect(await findAuditBreaks(running.app.operations.db)).toEqual([]);
  });
});

describe('replaying a stored message', () => {
  test('it goes through the same judgement again, and its first verdict stays in the audit trail', async ({
    databaseUrl,
  }) => {
    const { running, shop } = await start(databaseUrl);
    const { tokenization } = await shop.accept();
    await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    await shop.forge('notify', {
      merchant_reference_id: tokenization.merchant_reference_id,
      order_amount: '0.01',
      quickpay_status: '0',
    });
    const { id } = await untilCallback(running, 'rejected');
    const { operations } = running.app;
    expect(await replayCallback(operations, id, operator)).toEqual({ isReplayed: true });
    await eventually('it is judged again', async () => {
      const events = await eventsOf(running, id);
      return events.length === 4;
    });
    expect(await eventsOf(running, id)).toEqual([
      'callback.received',
      'callback.rejected',
      'callback.replayed',
      'callback.rejected',
    ]);
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test('what is kept as an excerpt only can not be replayed, and is removed after its time', async ({
    databaseUrl,
  }) => {
    const { running } = await start(databaseUrl, { CALLBACK_REFUSED_MAX_AGE_MS: '1000' });
    const { db } = running.app.operations;
    await fetch(`${running.app.urls?.public}/callbacks/notify`, {
      method: 'POST',
      body: `{"from": "a stranger", "filler": "${'x'.repeat(2_000)}"`,
    });
    const { id } = await untilCallback(running, 'rejected');
    await expect(replayCallback(running.app.operations, id, operator)).rejects.toMatchObject({
      code: 'state_forbids',
    });
    const queue = running.app.backend.queue('maintenance');
    let runs = 0;
    await eventually('retention has removed it', async () => {
      runs += 1;
      await queue.add('retention.expire', { v: 1 }, { jobId: `retention-${runs}` });
      const rows = await listCallbacks(db, undefined, 10);
      return rows.length === 0;
    });
    expect(await eventsOf(running, id)).toEqual(['callback.refused']);
    expect(await findAuditBreaks(db)).toEqual([]);
  });
});

describe('a field-boundary forgery, with a right hash', () => {
  const fields = signatureFields.Q1;

  test.for([
    { what: 'turns a pending result into a success', reason: 'grammar' },
    { what: 'turns one order into another', reason: 'order_reference_mismatch' },
  ])(
    '$what, and changes nothing even where a signature is enough',
    async ({ reason }, { databaseUrl }) => {
      const { running, shop } = await start(databaseUrl, {
        NOTIFY_SIGNATURE_MODE: 'verify',
        NOTIFY_SIGNATURE_FIELDS: fields.join(','),
        CONFIRM_POLICY: 'signed',
      });
      await shop.accept({ referenceId: 'order-1', remark: 'sandbox:redirect' });
      await shop.accept({ referenceId: 'order-17', remark: 'sandbox:redirect' });
      const victim = await shop.until('order-1', 'awaiting_customer');
      const genuineRow = await shop.until('order-17', 'awaiting_customer');
      const common = {
        account: running.account.account,
        terminal: running.account.terminal,
        order_amount: '12.50',
        order_currency: 'EUR',
      };
      const genuine: Record<string, string> =
        reason === 'grammar'
          ? {
              ...common,
              order_reference_id: victim.order_reference_id ?? '',
              merchant_reference_id: 'order-1',
              quickpay_id: '3f1c8c1e',
              quickpay_status: '-1',
            }
          : {
              ...common,
              order_reference_id: genuineRow.order_reference_id ?? '',
              merchant_reference_id: 'order-17',
              quickpay_id: '3f1c8c1e',
              quickpay_status: '1',
            };
      const forged: Record<string, string> =
        reason === 'grammar'
          ? { ...genuine, quickpay_id: '3f1c8c1e-', quickpay_status: '1' }
          : { ...genuine, merchant_reference_id: 'order-1', quickpay_id: '73f1c8c1e' };
      const secureCode = new Secret(running.account.secureCode);
      const signature = computeSignature(fields, genuine, secureCode);
      // The proof that the hash is right: other values, the same signed text.
      expect(forged).not.toEqual(genuine);
      expect(signatureText(fields, forged)).toBe(signatureText(fields, genuine));
      expect(computeSignature(fields, forged, secureCode)).toBe(signature);

      await shop.forge('notify', { ...forged, signature });
      const rejected = await untilCallback(running, 'rejected');
      expect(rejected.reason).toBe(reason);
      const after = await shop.until('order-1', 'awaiting_customer');
      expect(after.quickpay_id_sealed).toBeNull();
      const events = await eventsOf(running, after.id);
      expect(events.filter((event) => event.startsWith('evidence.'))).toEqual([]);
      expect(running.sandbox.state().tokensByMerchantReference).toEqual({});
    },
  );
});
