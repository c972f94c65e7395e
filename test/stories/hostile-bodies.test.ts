import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { eventually } from '../support/eventually.ts';
import { hostileBodies } from '../support/faults/hostile-bodies.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { test } from '../support/harness/worker-test.ts';

describe('hostile bodies', () => {
  async function push(
    { app }: TestWorker,
    body: string | Buffer,
    contentType?: string,
  ): Promise<Response> {
    return await fetch(`${app.urls?.public}/callbacks/notify`, {
      method: 'POST',
      ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      body: typeof body === 'string' ? body : new Uint8Array(body),
    });
  }

  async function readRows({ app }: TestWorker) {
    return await app.operations.db
      .selectFrom('callback')
      .select(['state', 'reason', 'body_bytes'])
      .execute();
  }

  test('each malformed push is stored, acknowledged and rejected', async ({ startWorker }) => {
    const worker = await startWorker();
    for (const [name, body, contentType] of hostileBodies) {
      const response = await push(worker, body, contentType);
      expect([name, response.status, await response.text()]).toEqual([name, 200, 'receive-ok']);
    }
    const kept = await readRows(worker);
    expect(kept).toHaveLength(hostileBodies.length);
    expect(new Set(kept.map(({ state }) => state))).toEqual(new Set(['rejected']));
    const tooLarge = await push(worker, 'x'.repeat(64 * 1_024 + 1));
    expect(tooLarge.status).toBe(413);
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  });

  test('no random push about a known account is lost or makes a token', async ({ startWorker }) => {
    const worker = await startWorker();
    const { account, terminal } = worker.account;
    const seen = new Set<string>();
    const fieldValues = fc.oneof(
      fc.string(),
      fc.constantFrom('1', '0', '-1', '0012', '1e9', '%00', '\0', ' '),
    );
    const fields = fc.dictionary(
      fc.constantFrom('quickpay_status', 'quickpay_id', 'order_amount', 'merchant_reference_id'),
      fieldValues,
    );
    await fc.assert(
      fc.asyncProperty(fields, fc.boolean(), async (extra, isJson) => {
        const values = { account, terminal, ...extra };
        const body = isJson ? JSON.stringify(values) : new URLSearchParams(values).toString();
        seen.add(body);
        const response = await push(worker, body, isJson ? 'application/json' : undefined);
        expect(response.status).toBe(200);
      }),
      { numRuns: 80 },
    );
    await eventually('all are judged', async () =>
      (await readRows(worker)).every(({ state }) => state !== 'received'),
    );
    const { db } = worker.app.operations;
    const counted = await db
      .selectFrom('callback')
      .select(({ fn }) => fn.sum<string>('seen_count').as('arrivals'))
      .executeTakeFirstOrThrow();
    expect(Number(counted.arrivals)).toBeGreaterThanOrEqual(seen.size);
    expect(
      (await readRows(worker)).every(({ state }) => state === 'rejected' || state === 'orphaned'),
    ).toBe(true);
    expect(await findAuditBreaks(db)).toEqual([]);
  });
});
