import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { runJob } from '../support/harness/run-job.ts';
import { test } from '../support/harness/harness-test.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';

const settings = {
  refusedCallbackMaxAgeMs: 7 * 86_400_000,
  unbelievedCallbackMaxAgeMs: 86_400_000,
};

describe('retention.expire', () => {
  test('deletes an unproven message that was rejected, abandoned or changed nothing; keeps a proven one, and an unreadable one longer', async ({
    openJobHarness,
    database: { db },
    databaseUrl,
  }) => {
    const harness = await openJobHarness({ settings });
    const { id } = await harness.open(redirectWithoutPush);
    const wrong = { fields: { order_amount: '0.01' } };
    const proven = await harness.receive(id, 'notify', { status: '0', isProven: true, ...wrong });
    const rejected = await harness.receive(id, 'notify', { status: '0', ...wrong });
    expect(rejected.callback).toMatchObject({ state: 'rejected', is_believed: false });
    const forbidden = db.deleteFrom('callback').where('id', '=', rejected.callback.id).execute();
    await expect(forbidden).rejects.toMatchObject({ code: '42501' });
    const orphan = await harness.storeMessage('notify', {
      merchant_reference_id: 'none',
      quickpay_status: '0',
      x: 'x'.repeat(60_000),
    });
    const set = async (text: string) =>
      await withClient(databaseUrl, async (client) => {
        await client.query(`update token_lifecycle.callback set ${text}`);
      });
    await harness.run('notify.handle', { callbackId: orphan });
    await set("due_at = now() - interval '1 second' where state = 'orphaned'");
    expect(await harness.run('notify.handle', { callbackId: orphan })).toBe('abandoned');
    const accepted = await harness.receive(id, 'notify', { status: '-1' });
    const useless = await harness.receive(id, 'redirect', { status: '-1' });
    const { id: unreadable } = await acceptCallback(harness.dependencies, {
      channel: 'notify',
      contentType: undefined,
      body: Buffer.from(`[${(await harness.row(id)).order_reference_id}]`),
      sourceIp: undefined,
    });
    await set("received_at = now() - interval '1 hour' where reason = 'unreadable'");
    harness.dropSharedAnswers();
    expect(await harness.run('notify.handle', { callbackId: unreadable })).toBe(
      'rejected_unreadable',
    );
    expect(useless.callback).toMatchObject({ state: 'accepted', is_believed: false });

    expect(await harness.run('retention.expire', {})).toBe('nothing_due');
    await set("updated_at = updated_at - interval '25 hours'");
    expect(await harness.run('retention.expire', {})).toBe('removed');
    const left = await db.selectFrom('callback').select('id').execute();
    expect(new Set(left.map((row) => row.id))).toEqual(
      new Set([proven.callback.id, accepted.callback.id, unreadable]),
    );
    await set("updated_at = updated_at - interval '7 days'");
    expect(await harness.run('retention.expire', {})).toBe('removed');
    expect(await harness.events(unreadable)).toEqual([
      'callback.received',
      'callback.rejected',
      'callback.expired',
    ]);
    expect(await harness.events(orphan)).toEqual([
      'callback.received',
      'callback.orphaned',
      'callback.abandoned',
      'callback.expired',
    ]);
  });

  test('deletes batch by batch, and stops between two batches when the worker stops', async ({
    openJobHarness,
    database: { db },
  }) => {
    const { dependencies } = await openJobHarness({ settings });
    await sql`
      insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, reason, seen_count,
        last_seen_at, received_at, state, version, created_at, updated_at)
      select gen_random_uuid(), 'notify', 'k', n::text, 'sealed', 6, 'unreadable', 1,
        now(), now() - interval '8 days', 'rejected', 1, now(), now()
      from generate_series(1, 2500) n`.execute(db);
    const count = async () => (await db.selectFrom('callback').select('id').execute()).length;
    const stopped = await runJob('retention.expire', {}, dependencies, {
      signal: AbortSignal.abort(),
    });
    expect([stopped, await count()]).toEqual([{ kind: 'done', result: 'interrupted' }, 2_500]);
    const run = await runJob('retention.expire', {}, dependencies);
    expect([run, await count()]).toEqual([{ kind: 'done', result: 'removed' }, 0]);
  });
});
