import { describe, expect } from 'vitest';
import type { JobHarness } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';

/** What people may do who can guess a reference: everything that passes through a browser. */

const quiet = 'sandbox:redirect+dropped';

type End = 'active' | 'failed' | 'expired' | 'confirming';

async function bring(harness: JobHarness, end: End): Promise<string> {
  const { id } = await harness.open(quiet);
  if (end === 'active') await harness.decide(id, 'approve');
  if (end === 'failed') await harness.decide(id, 'decline');
  if (end === 'expired') await harness.passDeadline(id);
  if (end === 'confirming')
    await harness.receive(id, 'redirect', { status: '1', quickpayId: 'first' });
  await harness.confirm(id);
  expect((await harness.row(id)).state).toBe(end);
  return id;
}

describe('strangers', () => {
  test.for(['active', 'failed', 'expired', 'confirming'] as const)(
    'a thousand made-up results about one that is %s are one question to the gateway, and leave no trace',
    async (end, { openJobHarness }) => {
      const harness = await openJobHarness();
      const id = await bring(harness, end);
      const before = await harness.row(id);
      const asked = harness.sandbox.state().calls.query;
      const results = new Set<string>();
      for (const quickpayId of ['a1', 'a2', 'a3', 'a4', 'a5']) {
        results.add((await harness.receive(id, 'redirect', { status: '1', quickpayId })).result);
      }
      expect(harness.sandbox.state().calls.query - asked).toBeLessThanOrEqual(1);
      expect(results).toContain('query_rate_limited');
      expect(await harness.row(id)).toEqual(before);
    },
  );

  test('an answer that came after a message answers it too, also where many wait', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const id = await bring(harness, 'expired');
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId: 'made-up',
    });
    expect(callback.state).toBe('received');
    const asked = harness.sandbox.state().calls.query;
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe(
      'not_confirmed_yet',
    );
    expect(harness.sandbox.state().calls.query).toBe(asked);
  });

  test('a late success of a browser is asked about until the gateway has it, then no more', async ({
    openJobHarness,
    database,
  }) => {
    const harness = await openJobHarness();
    const id = await bring(harness, 'expired');
    const receive = async () =>
      await harness.receive(id, 'redirect', { status: '1', quickpayId: 'made-up' });
    const { result, callback } = await receive();
    expect([result, callback.state]).toEqual(['not_confirmed_yet', 'received']);
    await database.db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 3_600_000) })
      .where('id', '=', callback.id)
      .execute();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('not_confirmed');
    expect((await receive()).callback.state).toBe('accepted');
  });

  test('an unproven "pending" gives the customer more time only where the gateway says so too', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness({ faults: { pendingVisible: false } });
    const unseen = await harness.open(quiet);
    const { result } = await harness.receive(unseen.id, 'redirect', { status: '-1' });
    expect(result).toBe('step_not_due');
    expect(await harness.row(unseen.id)).toMatchObject({ is_deadline_extended: false });
    harness.sandbox.setFaults({ pendingVisible: true });
    const seen = await harness.open(quiet);
    expect((await harness.receive(seen.id, 'redirect', { status: '-1' })).result).toBe(
      'deadline_extended',
    );
    expect(await harness.row(seen.id)).toMatchObject({ is_deadline_extended: true });
  });

  test('silence of the gateway is no "not borne out", however long it lasts', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await bring(harness, 'expired');
    const quickpayId = await harness.decide(id, 'approve');
    harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback, result } = await harness.receive(id, 'redirect', { status: '1', quickpayId });
    expect(result).toBe('no_answer');
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 2 * 86_400_000) })
      .where('id', '=', callback.id)
      .execute();
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    harness.sandbox.setFaults({ errorRate5xx: 0 });
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('active');
  });

  test('where the schedule is over, a proven message begins it anew, and an unproven one waits for the gateway itself', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const waiting: string[] = [];
    for (const isProven of [true, false]) {
      const id = await bring(harness, 'confirming');
      await harness.alter(id, 'reconcile_at = null, reconcile_step = 10');
      harness.dropSharedAnswers();
      harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
      const quickpayId = await harness.decide(id, 'approve');
      const heard = await harness.receive(id, 'notify', { status: '1', quickpayId, isProven });
      if (isProven) await harness.confirm(id);
      const row = await harness.row(id);
      expect(row.reconcile_at === null).toBe(!isProven);
      harness.sandbox.setFaults({ errorRate5xx: 0 });
      harness.dropSharedAnswers();
      if (isProven) expect(await harness.confirm(id)).toBe('active');
      else {
        waiting.push(heard.callback.id);
        // Whoever waits is not looked for until its time has come.
        const { due_at: due } = heard.callback;
        expect(due?.getTime()).toBeGreaterThan(Date.now() + 30_000);
        expect(await harness.run('notify.handle', { callbackId: heard.callback.id })).toBe(
          'active',
        );
      }
    }
    const kept = await db
      .selectFrom('callback')
      .select('is_believed')
      .where('id', 'in', waiting)
      .execute();
    expect(kept).toEqual([{ is_believed: true }]);
  });

  test('what a stranger said waits for a silent gateway as long as such messages are kept, and no longer', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await bring(harness, 'failed');
    harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId: 'made-up',
    });
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 365 * 86_400_000) })
      .where('id', '=', callback.id)
      .execute();
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    const { state } = await db
      .selectFrom('callback')
      .select('state')
      .where('id', '=', callback.id)
      .executeTakeFirstOrThrow();
    expect(state).toBe('accepted');
  });

  test('an answer decides nothing that came after it: neither a deadline nor another attempt', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await bring(harness, 'confirming');
    await harness.receive(id, 'redirect', { status: '1', quickpayId: 'asks' });
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId: 'waits',
    });
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 60_000) })
      .where('id', '=', callback.id)
      .execute();
    const asked = harness.sandbox.state().calls.query;
    const judge = async () => await harness.run('callback.verify', { callbackId: callback.id });
    await harness.alter(id, 'deadline_at = now()');
    expect(await judge()).toBe('step_not_due');
    expect((await harness.row(id)).state).toBe('confirming');
    expect(harness.sandbox.state().calls.query).toBe(asked);

    await harness.alter(id, 'attempt = attempt + 1');
    await harness.receive(id, 'redirect', { status: '1', quickpayId: 'of-the-next-attempt' });
    expect(harness.sandbox.state().calls.query).toBe(asked + 1);
  });
});
