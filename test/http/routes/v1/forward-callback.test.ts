import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { claimOutbox, insertOutboxJobs } from '../../../../src/db/outbox.ts';
import { jobId } from '../../../../src/domain/ids.ts';
import { acceptOutboxRow } from '../../../../src/queues/accept-outbox-row.ts';
import { test } from '../../../support/harness/api-test.ts';

const hourMs = 3_600_000;
const retentionMs = 7 * 24 * hourMs;
const secondsAround = 5_000;

/** A message of the default account about this reference. */
const messageOf = (reference: string): string =>
  `account=995149&terminal=99514901&merchant_reference_id=${reference}&quickpay_status=1`;

test('a forwarded message keeps the receivedAt of its backend, limited to the retention period', async ({
  api,
  shared,
}) => {
  const { call, operations } = api;
  const now = Date.now();
  const cases = [
    ['r-hour', now - hourMs, now - hourMs],
    ['r-ahead', now + hourMs, now],
    ['r-ancient', 0, now - retentionMs],
  ] as const;
  for (const [reference, sentMs, storedMs] of cases) {
    const receivedAt = new Date(sentMs).toISOString();
    const body = { body: messageOf(reference), receivedAt };
    const { id } = (await call('POST', '/v1/callbacks/notify', { body })).body;
    const row = await receivedRow(id);
    expect(Math.abs(row.received_at.getTime() - storedMs)).toBeLessThan(secondsAround);
    expect(row.last_seen_at.getTime()).toBeGreaterThan(now - secondsAround);
  }

  // The same holds for a message that was enqueued by SQL.
  const receivedAt = new Date(now - hourMs).toISOString().replace('Z', '+00:00');
  const id = randomUUID();
  await insertOutboxJobs(shared.db, [
    {
      queue: 'callback-verification',
      name: 'callback.verify',
      jobId: jobId('enqueue', id, 1),
      payload: { v: 1, body: messageOf('r-sql'), receivedAt },
    },
  ]);
  const claimed = await claimOutbox(shared.db, 'test', 10_000, 10);
  const rows = claimed.filter((row) => row.job_id === jobId('enqueue', id, 1));
  expect(rows).toHaveLength(1);
  for (const row of rows) {
    await acceptOutboxRow(operations, { ...row, enqueue_id: id, enqueued_by: 'shop' });
  }
  const { received_at: at } = await receivedRow(id);
  expect(Math.abs(at.getTime() - (now - hourMs))).toBeLessThan(secondsAround);

  async function receivedRow(callbackId: string) {
    return await shared.db
      .selectFrom('callback')
      .selectAll()
      .where('id', '=', callbackId)
      .executeTakeFirstOrThrow();
  }
});

test('an invalid receivedAt is refused by its path', async ({ api }) => {
  for (const receivedAt of ['CANARY', '2026-02-30T00:00:00Z', '2026-11-24T00:00:00']) {
    const body = { body: 'x', receivedAt };
    const answer = await api.call('POST', '/v1/callbacks/redirect', { body });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'payload_invalid', paths: ['receivedAt'] },
    });
    expect(answer.text).not.toContain('CANARY');
  }
});
