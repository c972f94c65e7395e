import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect } from 'vitest';
import { findAuditBreaks, findTimeline } from '../../../src/db/audit.ts';
import { withClient } from '../../../src/db/connection/database.ts';
import { getTokenization } from '../../../src/db/tokenizations.ts';
import { daysLeft, expiryWarningDays } from '../../../src/domain/expiry-watch.ts';
import { expiryInstant } from '../../../src/domain/expiry-instant.ts';
import { replayDelivery } from '../../../src/delivery/replay.ts';
import { testActor } from '../../support/builders.ts';
import { eventually } from '../../support/eventually.ts';
import { test as harnessTest } from '../../support/harness/harness-test.ts';
import { openShop } from '../../support/harness/shop.ts';
import { test as workerTest } from '../../support/harness/worker-test.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const zone = 'Asia/Shanghai';
const dayMs = 86_400_000;

const dateIn = (days: number): string =>
  new Date(Date.now() + days * dayMs).toISOString().slice(0, 10);

/**
 * The date that is `days` days ahead in the worker's zone, where a part of a day counts as a day.
 */
function zonedDateIn(days: number): string {
  const now = new Date();
  const found = [-1, 0, 1, 2]
    .map((more) => dateIn(days + more))
    .find((date) => {
      const start = expiryInstant(date, zone);
      return start !== undefined && start > now && daysLeft(start, now) === days;
    });
  if (found === undefined) throw new Error(`no day begins in ${days} days`);
  return found;
}

describe('the expiry of an active token', () => {
  harnessTest.for([
    {
      days: 40,
      what: 'the next check comes 30 days before it',
      expected: ['token.expiry_learned'],
      next: 30,
    },
    {
      days: 29,
      what: 'a notice is sent, and the next check comes 7 days before it',
      expected: ['token.expiry_learned', 'token.expiring'],
      next: 7,
    },
    {
      days: 5,
      what: 'a notice is sent, and the next check comes 1 day before it',
      expected: ['token.expiry_learned', 'token.expiring'],
      next: 1,
    },
    {
      days: -1,
      what: 'the token expires at once',
      expected: ['token.expiry_learned', 'token.expired'],
      next: undefined,
    },
  ])('with $days days left $what', async ({ days, expected, next }, { openJobHarness }) => {
    const { open, confirm, makeDue, row, events } = await openJobHarness({
      faults: { expiryTime: dateIn(days) },
    });
    const { id } = await open('sandbox:direct');
    for (const _ of expected) {
      await makeDue(id);
      await confirm(id);
    }
    expect((await events(id)).slice(3)).toEqual(expected);
    const { expires_at: expiry, reconcile_at: check, state } = await row(id);
    expect(state).toBe(next === undefined ? 'token_expired' : 'active');
    const before =
      check === null || expiry === null ? undefined : (expiry.getTime() - check.getTime()) / dayMs;
    expect(before).toBe(next);
  });

  harnessTest(
    'each of the three notices is sent once, however often the worker checks',
    async ({ openJobHarness }) => {
      const { open, confirm, makeDue, alter, events } = await openJobHarness({
        // Hides the gateway's date, so that the test alone sets it.
        wrapGateway: (gateway) => ({
          ...gateway,
          queryQuickPay: async (...call) => {
            const reply = await gateway.queryQuickPay(...call);
            if (reply.kind !== 'found') return reply;
            return {
              ...reply,
              records: reply.records.map((record) => ({ ...record, expiryTime: undefined })),
            };
          },
        }),
      });
      const { id } = await open('sandbox:direct');
      for (const left of [31, 29, 29, 8, 6, 2, 0.5, 0.1, 0]) {
        await alter(id, `expires_at = now() + interval '1 day' * ${left}, reconcile_at = now()`);
        await makeDue(id);
        await confirm(id);
      }
      expect((await events(id)).slice(3)).toEqual([
        'reconcile.pending',
        'token.expiring',
        'reconcile.pending',
        'reconcile.pending',
        'token.expiring',
        'reconcile.pending',
        'token.expiring',
        'reconcile.pending',
        'token.expired',
      ]);
    },
  );

  harnessTest(
    'the worker queries until it knows the expiry, also when the record appears late',
    async ({ openJobHarness }) => {
      const record = { isVisible: false };
      const { open, confirm, makeDue, row } = await openJobHarness({
        wrapGateway: (gateway) => ({
          ...gateway,
          queryQuickPay: async (...call) =>
            record.isVisible
              ? await gateway.queryQuickPay(...call)
              : { kind: 'none', gatewayCode: '0404' },
        }),
      });
      const { id } = await open('sandbox:direct');
      await makeDue(id);
      expect(await confirm(id)).toBe('rescheduled');
      record.isVisible = true;
      await makeDue(id);
      expect(await confirm(id)).toBe('expiry_learned');
      expect((await row(id)).expires_at).not.toBeNull();
    },
  );

  harnessTest(
    'without an answer a token is marked expired one day after its expiry, not before',
    async ({ openJobHarness }) => {
      const { open, confirm, makeDue, row, alter, sandbox } = await openJobHarness();
      const { id } = await open('sandbox:direct');
      await makeDue(id);
      await confirm(id);
      sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
      await alter(id, `expires_at = now() - interval '23 hours', reconcile_at = now()`);
      expect(await confirm(id)).toBe('no_answer');
      await alter(
        id,
        `attempt = 2, expires_at = now() - interval '25 hours', reconcile_at = now()`,
      );
      expect(await confirm(id)).toBe('token_expired');
      expect((await row(id)).state).toBe('token_expired');
    },
  );

  workerTest(
    'a running worker learns the date, sends the notice and plans the next check',
    async ({ startWorker }) => {
      const worker = await startWorker({ sandbox: { faults: { expiryTime: dateIn(20) } } });
      const shop = openShop(worker);
      const { db } = worker.app.operations;
      const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
      await shop.until(tokenization.merchant_reference_id, 'active');
      const events = await eventually('a notice', async () => {
        const all = await findTimeline(db, tokenization.id);
        return all.some(({ event }) => event === 'token.expiring') ? all : undefined;
      });
      expect(events.at(-1)?.detail).toHaveProperty('expiresAt');
      const { reconcile_at: check } = await getTokenization(db, tokenization.id);
      const daysToCheck = Math.round(((check?.getTime() ?? 0) - Date.now()) / dayMs);
      // The next notice comes seven days before the expiry.
      expect(daysToCheck).toBeGreaterThanOrEqual(11);
      expect(daysToCheck).toBeLessThanOrEqual(14);
    },
  );

  workerTest('a running worker expires a token whose date has passed', async ({ startWorker }) => {
    const worker = await startWorker({ sandbox: { faults: { expiryTime: dateIn(-2) } } });
    const shop = openShop(worker);
    const { db } = worker.app.operations;
    const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
    await shop.until(tokenization.merchant_reference_id, 'token_expired');
    const events = await findTimeline(db, tokenization.id);
    expect(events.at(-1)).toMatchObject({ event: 'token.expired', detail: { daysLeft: 0 } });
    expect(await findAuditBreaks(db)).toEqual([]);
  });

  workerTest(
    'the merchant gets one notice 30, 7 and 1 days before it, and each names its step',
    async ({ startWorker, receiver, databaseUrl }) => {
      const worker = await startWorker({
        sandbox: { faults: { expiryTime: zonedDateIn(60) } },
        env: {
          MERCHANT_WEBHOOK_URL: receiver.url,
          MERCHANT_WEBHOOK_SECRETS: secret,
          MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
          EXPIRY_ZONE: zone,
        },
      });
      const { operations } = worker.app;
      const notices = () =>
        receiver.events
          .map(({ headers, body }) => ({
            id: headers['webhook-id'],
            ...(new Webhook(secret).verify(body, headers) as { type: string; data: object }),
          }))
          .filter(({ type }) => type === 'token.expiring');

      const { tokenization } = await openShop(worker).accept({ remark: 'sandbox:direct' });
      const row = async () => await getTokenization(operations.db, tokenization.id);
      await eventually('the expiry is known', async () => (await row()).expires_at !== null);
      expect(notices()).toEqual([]);

      for (const [index, days] of expiryWarningDays.entries()) {
        // Time passes: the gateway's date and the planned check come nearer.
        const date = zonedDateIn(days);
        worker.sandbox.setFaults({ expiryTime: date });
        await withClient(databaseUrl, async (client) => {
          await client.query(
            'update token_lifecycle.tokenization set expires_at = $1, reconcile_at = now() where id = $2',
            [expiryInstant(date, zone), tokenization.id],
          );
        });
        await eventually(`the notice of ${days} days`, () => notices().length > index);
      }
      const sent = notices();
      const { expires_at: expiry } = await row();
      expect(sent.map(({ data }) => data)).toMatchObject([
        { tokenizationId: tokenization.id, noticeDays: 30, state: 'active' },
        { tokenizationId: tokenization.id, noticeDays: 7 },
        { tokenizationId: tokenization.id, noticeDays: 1, expiresAt: expiry?.toISOString() },
      ]);
      expect(new Set(sent.map(({ id }) => id)).size).toBe(3);

      // A replay has the content of its event, although the expiry has changed since.
      const first = sent[0];
      await replayDelivery(operations, first?.id ?? '', { actor: testActor });
      await eventually('the replay arrives', () => notices().length > 3);
      expect(notices().at(-1)).toMatchObject({ id: first?.id, data: first?.data });
    },
  );
});
