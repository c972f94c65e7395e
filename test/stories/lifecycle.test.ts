import { describe, expect } from 'vitest';
import { findAccessToken } from '../../src/db/access-tokens.ts';
import { findAuditBreaks, findTimeline } from '../../src/db/audit.ts';
import { findCredential } from '../../src/db/credentials.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { findTokenizationsByMerchantReference } from '../../src/db/tokenizations.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { requestPayload } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';
import { openShop, type Shop } from '../support/harness/shop.ts';
import { backends, type TestWorker } from '../support/harness/worker.ts';
import { type StartWorker, test } from '../support/harness/worker-test.ts';
import { redriveJob } from '../../src/dead-letter/redrive.ts';
import { parsePayload } from '../../src/domain/payload/payload-paths.ts';
import { openQuickpayId } from '../../src/tokenization/row.ts';

const audit = { actor: { type: 'backend', id: 'test' } } as const;

describe.for(backends)('the lifecycle, with queues on %s', (backend) => {
  async function start(
    startWorker: StartWorker,
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly worker: TestWorker; readonly shop: Shop }> {
    const accessTokenTtlMs = Number(env['ACCESS_TOKEN_TTL_MS'] ?? 3_600_000);
    const worker = await startWorker({ backend, env, sandbox: { accessTokenTtlMs } });
    return { worker, shop: openShop(worker) };
  }

  test('an approval leads to an active, sealed token and a complete timeline', async ({
    startWorker,
  }) => {
    // Long enough that the customer's redirect comes before the first scheduled query.
    const { worker, shop } = await start(startWorker, { RECONCILE_SCHEDULE_MS: '60000' });
    const { tokenization, isNew } = await shop.accept(
      {},
      { returnUrl: 'https://shop.example/done?x=1' },
    );
    expect(isNew).toBe(true);
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    const response = await shop.followRedirect(await shop.decide(waiting, 'approve'));
    expect(response.status).toBe(303);
    const location = new URL(response.headers.get('location') ?? '');
    expect(location.origin + location.pathname).toBe('https://shop.example/done');
    expect(location.searchParams.get('merchantReferenceId')).toBe(
      tokenization.merchant_reference_id,
    );
    const active = await shop.until(tokenization.merchant_reference_id, 'active');

    const [creation] = worker.sandbox.state().creations;
    const { db, keyring } = worker.app.operations;
    expect(active.quickpay_id_sealed).not.toContain(creation?.quickpayId);
    expect(openQuickpayId(keyring, active)?.reveal()).toBe(creation?.quickpayId);
    expect(active.expires_at).toBeInstanceOf(Date);
    const events = (await findTimeline(db, active.id)).map(({ event }) => event);
    expect(
      events.filter((event) => event.startsWith('tokenization') || event.startsWith('evidence')),
    ).toEqual([
      'tokenization.requested',
      'tokenization.submitting',
      'tokenization.redirect_issued',
      'evidence.accepted',
      'tokenization.activated',
    ]);
    expect(await findAuditBreaks(db)).toEqual([]);
  });

  test('a reply without a redirect address activates the token; a refusal fails the request', async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker);
    const direct = await shop.accept({ remark: 'sandbox:direct' });
    const refused = await shop.accept({ remark: 'sandbox:refuse' });
    await shop.until(direct.tokenization.merchant_reference_id, 'active');
    const failed = await shop.until(refused.tokenization.merchant_reference_id, 'failed');
    const events = await findTimeline(worker.app.operations.db, failed.id);
    expect(events.at(-1)).toMatchObject({ event: 'tokenization.failed', reason: 'refused' });
    expect(events.at(-1)?.gateway_code).not.toBeNull();
  });

  test('a lost reply ends with exactly one usable token', async ({ startWorker }) => {
    const { worker, shop } = await start(startWorker);
    const { tokenization } = await shop.accept({ remark: 'sandbox:approve+lost-reply' });
    await shop.until(tokenization.merchant_reference_id, 'active');
    expect(worker.sandbox.state().tokensByMerchantReference).toEqual({
      [tokenization.merchant_reference_id]: 1,
    });
    const events = await findTimeline(worker.app.operations.db, tokenization.id);
    expect(events.map(({ event }) => event)).toContain('tokenization.outcome_unknown');
  });

  test('a repeated request returns the same tokenization; other content is a conflict', async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker);
    const first = await shop.accept({ referenceId: 'order-1' });
    const second = await shop.accept({ referenceId: 'order-1' });
    expect(second).toMatchObject({ isNew: false, tokenization: { id: first.tokenization.id } });
    const payload = shop.withUrls(requestPayload({ referenceId: 'order-1' }));
    const reordered = Object.fromEntries(Object.entries(payload).toReversed());
    const third = await acceptTokenization(
      worker.app.operations,
      parsePayload('tokenization.request', reordered),
      { audit },
    );
    expect(third.tokenization.id).toBe(first.tokenization.id);
    await expect(shop.accept({ referenceId: 'order-1', remark: 'other' })).rejects.toMatchObject({
      code: 'reference_conflict',
    });
    await shop.until('order-1', 'awaiting_customer');
    expect(worker.sandbox.state().calls.create).toBe(1);
  });

  test('a tokenization expires when the customer never decides', async ({ startWorker }) => {
    const { shop } = await start(startWorker, { AWAITING_CUSTOMER_DEADLINE_MS: '1000' });
    const { tokenization } = await shop.accept();
    await shop.until(tokenization.merchant_reference_id, 'expired');
  });

  test('a decline fails the tokenization; a late approval activates an expired one', async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker, { AWAITING_CUSTOMER_DEADLINE_MS: '2500' });
    const declined = await shop.accept();
    const late = await shop.accept({ remark: redirectWithoutPush });
    await shop.followRedirect(
      await shop.decide(
        await shop.until(declined.tokenization.merchant_reference_id, 'awaiting_customer'),
        'decline',
      ),
    );
    await shop.until(declined.tokenization.merchant_reference_id, 'failed');
    const expired = await shop.until(late.tokenization.merchant_reference_id, 'expired');
    await shop.followRedirect(await shop.decide(expired, 'approve'));
    const active = await shop.until(late.tokenization.merchant_reference_id, 'active');
    const events = await findTimeline(worker.app.operations.db, active.id);
    expect(events.find(({ event }) => event === 'tokenization.activated')?.detail).toMatchObject({
      isLate: true,
    });
  });

  test('a forged redirect activates nothing, even when every field matches', async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker);
    const { tokenization } = await shop.accept();
    const waiting = await shop.until(tokenization.merchant_reference_id, 'awaiting_customer');
    const genuine = new Map((await shop.decide(waiting, 'abandon')).fields);
    expect(genuine.size).toBe(0);
    for (const amount of ['0.01', '12.50']) {
      await shop.followRedirect({
        redirectUrl: `${worker.app.urls?.public}/callbacks/redirect`,
        fields: [
          ['account', worker.account.account],
          ['terminal', worker.account.terminal],
          ['signature', 'a'.repeat(64)],
          ['order_amount', amount],
          ['order_currency', 'EUR'],
          ['merchant_reference_id', tokenization.merchant_reference_id],
          ['quickpay_id', '00000000-0000-4000-8000-000000000000'],
          ['quickpay_status', '1'],
        ],
      });
    }
    const { db } = worker.app.operations;
    await eventually('both are judged', async () => {
      const judged = await db
        .selectFrom('callback')
        .select(['state', 'reason'])
        .where('state', '<>', 'received')
        .execute();
      return judged.length === 2 ? judged : undefined;
    });
    const rejected = await db
      .selectFrom('callback')
      .select('reason')
      .where('state', '=', 'rejected')
      .execute();
    expect(rejected).toEqual([{ reason: 'amount_mismatch' }]);
    // The second forgery matches in every field, so the worker queries; the gateway has no token.
    const asked = await eventually('the gateway was asked', async () => {
      const [row] = await findTokenizationsByMerchantReference(
        db,
        tokenization.merchant_reference_id,
      );
      return row?.state === 'confirming' && row.reconcile_step > 0 ? row : undefined;
    });
    expect(asked.quickpay_id_sealed).toBeNull();
  });

  test('an invalid payload becomes a dead letter with paths and no values; it can be redriven', async ({
    startWorker,
  }) => {
    const { worker } = await start(startWorker);
    const bad = {
      ...requestPayload(),
      order: { currency: 'canary-currency', amount: '-1', methods: 'Klarna' },
      extra: 'canary-extra',
    };
    const queue = worker.app.backend.queue('tokenization');
    await queue.add('tokenization.request', bad, { jobId: 'raw-1' });
    const { db } = worker.app.operations;
    const letter = await eventually(
      'a dead letter',
      async () => (await listDeadLetters(db, 10))[0],
    );
    expect(letter).toMatchObject({ code: 'payload_invalid', job_name: 'tokenization.request' });
    expect(letter.paths.toSorted()).toEqual(['*', 'order.amount', 'order.currency']);
    const job = await eventually('the job has failed', async () => {
      const found = await queue.getJob('raw-1');
      return found?.failedReason === undefined ? undefined : found;
    });
    expect(JSON.stringify(job.toJSON())).not.toContain('canary');
    await redriveJob(worker.app.operations, letter.id, {
      actor: { type: 'operator', id: 'test' },
    });
    const again = await eventually(
      'it fails again, under a new id',
      async () => (await listDeadLetters(db, 10))[0],
    );
    expect(again.job_id).toMatch(/^redrive-.*-g1$/);
    expect(await findAuditBreaks(db)).toEqual([]);
  });

  test("a raw job's content is sealed in PostgreSQL and leaves the queue once the job runs", async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker);
    const payload = shop.withUrls(
      requestPayload({ referenceId: 'raw-order', remark: 'sandbox:direct' }),
    );
    const queue = worker.app.backend.queue('tokenization');
    await queue.add('tokenization.request', payload, { jobId: 'raw-2' });
    const active = await shop.until('raw-order', 'active');
    const job = await queue.getJob('raw-2');
    expect(job?.data).toEqual({ v: 1, tokenizationId: active.id });
  });

  test('an access token is issued, then refreshed before it expires', async ({ startWorker }) => {
    const { worker } = await start(startWorker, {
      ACCESS_TOKEN_TTL_MS: '3000',
      ACCESS_TOKEN_SKEW_MS: '200',
    });
    const { db } = worker.app.operations;
    const token = await eventually('generation 2', async () => {
      const credential = await findCredential(db, 'default', 'opcard');
      const row = credential === undefined ? undefined : await findAccessToken(db, credential.id);
      return row !== undefined && row.generation >= 2 ? row : undefined;
    });
    expect(token.access_token_sealed).toMatch(/^v1\.k1\./);
    const events = await db
      .selectFrom('audit_event')
      .select(['event', 'detail'])
      .where('entity_id', '=', token.id)
      .orderBy('version')
      .execute();
    expect(events.map(({ event }) => event).slice(0, 5)).toEqual([
      'access_token.registered',
      'access_token.issue_intent',
      'access_token.issued',
      'access_token.refresh_intent',
      'access_token.refreshed',
    ]);
  });

  test('the scan enqueues a committed request that never reached a queue', async ({
    startWorker,
  }) => {
    const { worker, shop } = await start(startWorker);
    const { tokenization } = await acceptTokenization(
      worker.app.operations,
      shop.withUrls(requestPayload({ remark: 'sandbox:direct' })),
      {
        audit,
        // No job is enqueued.
        isContinuedByCaller: true,
      },
    );
    await shop.until(tokenization.merchant_reference_id, 'active');
  });
});
