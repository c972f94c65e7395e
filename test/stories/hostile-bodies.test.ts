import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { hostileBodies } from '../support/faults/hostile-bodies.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

describe('hostile bodies', () => {
  let worker: TestWorker;
  beforeEach<{ databaseUrl: string }>(async ({ databaseUrl }) => {
    const started = await startTestWorker({ databaseUrl, backend: 'postgres' });
    if (started === undefined) throw new Error('the backend on PostgreSQL is always there');
    worker = started;
  });
  afterEach(async () => await worker.close());

  async function push(body: string | Buffer, contentType?: string): Promise<Response> {
    return await fetch(`${worker.app.urls?.public}/callbacks/notify`, {
      method: 'POST',
      ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      body: typeof body === 'string' ? body : new Uint8Array(body),
    });
  }

  async function rows() {
    return await worker.app.operations.db
      .selectFrom('callback')
      .select(['state', 'reason', 'body_bytes'])
      .execute();
  }

  test('each one is kept as a row, acknowledged, rejected and harmless', async () => {
    for (const [name, body, contentType] of hostileBodies) {
      const response = await push(body, contentType);
      expect([name, response.status, await response.text()]).toEqual([name, 200, 'receive-ok']);
    }
    const kept = await rows();
    expect(kept).toHaveLength(hostileBodies.length);
    expect(new Set(kept.map(({ state }) => state))).toEqual(new Set(['rejected']));
    const tooLarge = await push('x'.repeat(64 * 1_024 + 1));
    expect(tooLarge.status).toBe(413);
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  });

  test('whatever is made of our own account, no row is lost and no token is made', async () => {
    const { account, terminal } = worker.account;
    const seen = new Set<string>();
    const values = fc.oneof(
      fc.string(),
      fc.constantFrom('1', '0', '-1', '0012', '1e9', '%00', '\0', ' '),
    );
    const fields = fc.dictionary(
      fc.constantFrom('quickpay_status', 'quickpay_id', 'order_amount', 'merchant_reference_id'),
      values,
    );
    await fc.assert(
      fc.asyncProperty(fields, fc.boolean(), async (extra, isJson) => {
        const said = { account, terminal, ...extra };
        const body = isJson ? JSON.stringify(said) : new URLSearchParams(said).toString();
        seen.add(body);
        const response = await push(body, isJson ? 'application/json' : undefined);
        expect(response.status).toBe(200);
      }),
      { numRuns: 80 },
    );
    await eventually('all are judged', async () =>
      (await rows()).every(({ state }) => state !== 'received'),
    );
    const { db } = worker.app.operations;
    const counted = await db
      .selectFrom('callback')
      .select(({ fn }) => fn.sum<string>('seen_count').as('arrivals'))
      .executeTakeFirstOrThrow();
    expect(Number(counted.arrivals)).toBeGreaterThanOrEqual(seen.size);
    expect((await rows()).every(({ state }) => state === 'rejected' || state === 'orphaned')).toBe(
      true,
    );
    expect(await findAuditBreaks(db)).toEqual([]);
  });
});
