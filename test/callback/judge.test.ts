import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { findDueCallbacks, listCallbacks } from '../../src/db/callbacks.ts';
import { withClient } from '../../src/db/connection/database.ts';
import type { CallbackRow } from '../../src/db/rows.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import type { JobDependencies } from '../../src/execution/dependencies.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import { computeSignature, signatureText } from '../../src/gateway/signature.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { Secret } from '../../src/security/secret.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { readAuditEvents } from '../support/audit-events.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { untilCallback } from '../support/until-callback.ts';
import { test as harnessTest } from '../support/harness/harness-test.ts';
import { runJob } from '../support/harness/run-job.ts';
import { openShop } from '../support/harness/shop.ts';
import { test as workerTest } from '../support/harness/worker-test.ts';

const withoutScan = { SCAN_INTERVAL_MS: '3600000' };

describe('an orphan, a message without a tokenization', () => {
  workerTest(
    'is matched as soon as its request appears, without a scan',
    async ({ startWorker }) => {
      const worker = await startWorker({ env: withoutScan });
      const { db } = worker.app.operations;
      const shop = openShop(worker);
      await shop.forge('notify', { merchant_reference_id: 'early-1', quickpay_status: '-1' });
      const { id } = await untilCallback(db, 'orphaned');
      await shop.accept({ referenceId: 'early-1', remark: 'sandbox:direct' });
      await eventually('it is judged', async () => (await readAuditEvents(db, id)).length === 4);
      expect(await readAuditEvents(db, id)).toEqual([
        'callback.received',
        'callback.orphaned',
        'callback.matched',
        'callback.accepted',
      ]);
    },
  );

  workerTest(
    "is matched as soon as the gateway's order reference becomes known, without a scan",
    async ({ startWorker, databaseUrl }) => {
      const worker = await startWorker({ env: withoutScan });
      const { db } = worker.app.operations;
      const shop = openShop(worker);
      const { tokenization } = await shop.accept();
      const row = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
      await shop.forge('notify', {
        order_reference_id: row.order_reference_id ?? '',
        quickpay_status: '-1',
      });
      const accepted = await untilCallback(db, 'accepted');
      expect(accepted.tokenization_id).toBe(row.id);
      await shop.forge('notify', { order_reference_id: '2604010935418296', quickpay_status: '-1' });
      const orphan = await untilCallback(db, 'orphaned');
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
    },
  );

  harnessTest(
    'is judged again if the transaction of its request was open while it was stored',
    async ({ openJobHarness, databaseUrl }) => {
      const harness = await openJobHarness();
      const id = await harness.storeMessage('redirect', {
        merchant_reference_id: 'tok-racing',
        quickpay_status: '-1',
      });
      const judge = async () =>
        await runJob('callback.verify', { callbackId: id }, harness.dependencies);
      expect(await judge()).toEqual({ kind: 'snooze', delayMs: 5_000, result: 'orphaned' });
      await withClient(databaseUrl, async (client) => {
        // A tokenization whose transaction began earlier does not see the orphan.
        await client.query(
          'alter table token_lifecycle.tokenization disable trigger tokenization_appeared',
        );
      });
      const request = requestPayload({ referenceId: 'tok-racing' });
      await acceptTokenization(harness.dependencies, request, { audit: { actor: testActor } });
      expect(await judge()).toMatchObject({ kind: 'snooze', result: 'request_in_flight' });
      expect(await harness.events(id)).toContain('callback.matched');
    },
  );

  workerTest(
    'whose tokenization never appears is abandoned, with an error in the log',
    async ({ startWorker }) => {
      const worker = await startWorker({ env: { CALLBACK_ORPHAN_MAX_AGE_MS: '1000' } });
      const { db } = worker.app.operations;
      await openShop(worker).forge('notify', {
        merchant_reference_id: 'never',
        quickpay_status: '1',
        quickpay_id: 'q1',
      });
      const { id } = await untilCallback(db, 'abandoned');
      const isLogged = worker.logs.some((line) => line.includes('"level":50') && line.includes(id));
      expect(isLogged).toBe(true);
      const metrics = await (await fetch(`${worker.app.urls?.private}/metrics`)).text();
      expect(metrics).toMatch(/event="callback\.abandoned"\} 1/);
      expect(await findAuditBreaks(db)).toEqual([]);
    },
  );

  harnessTest.for([
    { what: 'signature is refused', reason: 'signature_absent' },
    { what: 'account is unknown', reason: 'unknown_account' },
  ])(
    'whose $what when it is judged again stays an orphan until it is abandoned, with an error in the log',
    async ({ reason }, { openJobHarness, database: { db }, databaseUrl }) => {
      const harness = await openJobHarness();
      const id = await harness.storeMessage('notify', {
        merchant_reference_id: 'tok-unknown',
        quickpay_status: '0',
      });
      expect(await harness.run('notify.handle', { callbackId: id })).toBe('orphaned');
      const lines: string[] = [];
      const { settings } = harness.dependencies;
      const later: JobDependencies = {
        ...harness.dependencies,
        logger: createLogger({
          level: 'error',
          destination: { write: (line) => lines.push(line) },
        }),
        settings:
          reason === 'unknown_account'
            ? settings
            : { ...settings, signatures: { ...settings.signatures, notify: { mode: 'verify' } } },
      };
      if (reason === 'unknown_account') {
        const key = { name: 'default', family: 'accept_payments' } as const;
        await removeCredential(harness.dependencies, key, testActor);
      }
      const judge = async () => await harness.run('notify.handle', { callbackId: id }, later);
      const findDue = async (state: CallbackRow['state']) => await findDueCallbacks(db, state, 10);
      expect(await judge()).toBe('still_orphaned');
      expect(await findDue('orphaned')).toEqual([]);
      expect(lines).toEqual([]);
      await withClient(databaseUrl, async (client) => {
        await client.query(
          "update token_lifecycle.callback set due_at = due_at - interval '2 days' where id = $1",
          [id],
        );
      });
      expect(await findDue('orphaned')).toHaveLength(1);
      expect(await judge()).toBe('abandoned');
      expect(await harness.events(id)).toEqual([
        'callback.received',
        'callback.orphaned',
        'callback.abandoned',
      ]);
      expect(await findDue('orphaned')).toEqual([]);
      expect(lines).toEqual([expect.stringContaining(reason)]);
    },
  );
});

describe('a forgery that shifts values across field borders and keeps its hash', () => {
  const fields = signatureFields.Q1;

  workerTest.for([
    { what: 'a pending result into a success', reason: 'grammar' },
    { what: 'one order into another', reason: 'order_reference_mismatch' },
  ])('cannot turn $what, not even under the policy signed', async ({ reason }, { startWorker }) => {
    const worker = await startWorker({
      env: {
        NOTIFY_SIGNATURE_MODE: 'verify',
        NOTIFY_SIGNATURE_FIELDS: fields.join(','),
        CONFIRM_POLICY: 'signed',
      },
    });
    const { db } = worker.app.operations;
    const shop = openShop(worker);
    await shop.accept({ referenceId: 'order-1', remark: 'sandbox:redirect' });
    await shop.accept({ referenceId: 'order-17', remark: 'sandbox:redirect' });
    const victim = await shop.until('order-1', 'awaiting_customer');
    const genuineRow = await shop.until('order-17', 'awaiting_customer');
    const common = {
      account: worker.account.account,
      terminal: worker.account.terminal,
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
    const secureCode = new Secret(worker.account.secureCode);
    const signature = computeSignature(fields, genuine, secureCode);
    // The forged values differ, but the signed text and therefore the hash do not.
    expect(forged).not.toEqual(genuine);
    expect(signatureText(fields, forged)).toBe(signatureText(fields, genuine));
    expect(computeSignature(fields, forged, secureCode)).toBe(signature);

    await shop.forge('notify', { ...forged, signature });
    const rejected = await untilCallback(db, 'rejected');
    expect(rejected.reason).toBe(reason);
    const after = await shop.until('order-1', 'awaiting_customer');
    expect(after.quickpay_id_sealed).toBeNull();
    const events = await readAuditEvents(db, after.id);
    expect(events.filter((event) => event.startsWith('evidence.'))).toEqual([]);
    expect(worker.sandbox.state().tokensByMerchantReference).toEqual({});
  });
});
