import { afterEach, describe, expect } from 'vitest';
import { findAuditBreaks, findTimeline } from '../../../src/db/audit.ts';
import type { TokenizationRow } from '../../../src/db/rows.ts';
import { disableToken } from '../../../src/tokenization/token/disable.ts';
import type { SandboxOptions } from '../../../src/sandbox/sandbox.ts';
import { eventually } from '../../support/eventually.ts';
import { test } from '../../support/harness/fixtures.ts';
import { openShop, type Shop } from '../../support/harness/shop.ts';
import { startTestWorker, type TestWorker } from '../../support/harness/worker.ts';

const operator = { actor: { type: 'operator', id: 'test' } } as const;
const dayMs = 86_400_000;

let worker: TestWorker | undefined;

afterEach(async () => {
  await worker?.close();
  worker = undefined;
});

async function start(
  databaseUrl: string,
  faults: SandboxOptions['faults'] = {},
): Promise<{ worker: TestWorker; shop: Shop }> {
  const started = await startTestWorker({ databaseUrl, backend: 'postgres', sandbox: { faults } });
  if (started === undefined) throw new Error('the backend on PostgreSQL is always there');
  worker = started;
  return { worker: started, shop: openShop(started) };
}

async function activeToken(shop: Shop): Promise<TokenizationRow> {
  const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
  return await shop.until(tokenization.merchant_reference_id, 'active');
}

async function eventsOf({ app }: TestWorker, id: string) {
  return await findTimeline(app.operations.db, id);
}

const dateIn = (days: number): string =>
  new Date(Date.now() + days * dayMs).toISOString().slice(0, 10);

describe('disabling a token', () => {
  test('a token is cancelled at the gateway once, however often it is asked for', async ({
    databaseUrl,
  }) => {
    const { worker: running, shop } = await start(databaseUrl);
    const { id, merchant_reference_id: reference } = await activeToken(shop);
    const { operations } = running.app;
    await disableToken(operations, { v: 1, tokenizationId: id }, operator);
    await shop.until(reference, 'disabled');
    const again = await disableToken(
      operations,
      { v: 1, merchantReferenceId: reference },
      operator,
    );
    expect(again.state).toBe('disabled');
    const queue = running.app.backend.queue('tokenization');
    await queue.add('token.disable', { v: 1, tokenizationId: id }, { jobId: 'raw-disable' });
    await eventually('the raw job is done', async () => {
      const job = await queue.getJob('raw-disable');
      return job?.returnvalue === undefined || job.returnvalue === null ? undefined : job;
    });
    const events = await eventsOf(running, id);
    expect(events.filter(({ event }) => event === 'token.disabled')).toMatchObject([
      { reason: 'cancelled', detail: { cancelStatus: '1', rawStatus: '0' } },
    ]);
    expect(running.sandbox.state().calls.cancel).toBe(1);
    expect(await findAuditBreaks(operations.db)).toEqual([]);
  });

  test.for([
    { when: 'after it took effect', switches: { errorAfterEffectRate: 1 }, calls: 1 },
    { when: 'before it took effect', switches: { errorRate5xx: 1 }, calls: 2 },
  ])(
    'a cancellation whose answer is lost $when is settled by asking',
    async ({ switches, calls }, { databaseUrl }) => {
      const { worker: running, shop } = await start(databaseUrl);
      const { id, merchant_reference_id: reference } = await activeToken(shop);
      running.sandbox.setFaults({ faultEndpoints: ['cancel'], faultAttemptsMax: 1, ...switches });
      await disableToken(running.app.operations, { v: 1, tokenizationId: id }, operator);
      await shop.until(reference, 'disabled');
      expect(running.sandbox.state().calls.cancel).toBe(calls);
    },
  );

  test('what is no token can not be disabled', async ({ databaseUrl }) => {
    const { worker: running, shop } = await start(databaseUrl);
    const { tokenization } = await shop.accept({ remark: 'sandbox:refuse' });
    await shop.until(tokenization.merchant_reference_id, 'failed');
    const target = { v: 1, tokenizationId: tokenization.id } as const;
    await expect(disableToken(running.app.operations, target, operator)).rejects.toMatchObject({
      code: 'state_forbids',
    });
  });
});

describe('the end of a token', () => {
  test('a token whose end is near is told once per step, and asked about first', async ({
    databaseUrl,
  }) => {
    const { worker: running, shop } = await start(databaseUrl, { expiryTime: dateIn(20) });
    const { id } = await activeToken(shop);
    const events = await eventually('a warning', async () => {
      const all = await eventsOf(running, id);
      return all.some(({ event }) => event === 'token.expiring') ? all : undefined;
    });
    expect(events.at(-1)?.detail).toHaveProperty('expiresAt');
    const row = await rowOf(running, id);
    const toNextLookMs = (row.reconcile_at?.getTime() ?? 0) - Date.now();
    // The next step is seven days before the end.
    expect(Math.round(toNextLookMs / dayMs)).toBeGreaterThanOrEqual(11);
    expect(Math.round(toNextLookMs / dayMs)).toBeLessThanOrEqual(14);
  });

  test('a token past its end is expired', async ({ databaseUrl }) => {
    const { worker: running, shop } = await start(databaseUrl, { expiryTime: dateIn(-2) });
    const { tokenization } = await shop.accept({ remark: 'sandbox:direct' });
    await shop.until(tokenization.merchant_reference_id, 'token_expired');
    const events = await eventsOf(running, tokenization.id);
    expect(events.at(-1)).toMatchObject({ event: 'token.expired', detail: { daysLeft: 0 } });
    expect(await findAuditBreaks(running.app.operations.db)).toEqual([]);
  });
});

async function rowOf({ app }: TestWorker, id: string): Promise<TokenizationRow> {
  return await app.operations.db
    .selectFrom('tokenization')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
}
