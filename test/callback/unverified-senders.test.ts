import { describe, expect } from 'vitest';
import type { Db } from '../../src/db/connection/database.ts';
import { type JobHarness, redirectWithoutPush } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';

type State = 'active' | 'failed' | 'expired' | 'confirming';

/** Opens a tokenization and brings it to a state; returns its id. */
async function openInState(harness: JobHarness, state: State): Promise<string> {
  const { id } = await harness.open(redirectWithoutPush);
  if (state === 'active') await harness.decide(id, 'approve');
  if (state === 'failed') await harness.decide(id, 'decline');
  if (state === 'expired') await harness.passDeadline(id);
  if (state === 'confirming')
    await harness.receive(id, 'redirect', { status: '1', quickpayId: 'first' });
  await harness.confirm(id);
  expect((await harness.row(id)).state).toBe(state);
  return id;
}

/** Sets the arrival of a message to `ageMs` ago. */
async function ageMessage(db: Db, id: string, ageMs: number): Promise<void> {
  const receivedAt = new Date(Date.now() - ageMs);
  await db.updateTable('callback').set({ received_at: receivedAt }).where('id', '=', id).execute();
}

/** Anyone who can guess a reference can send what a browser sends. */
describe('messages of unverified senders', () => {
  test.for(['active', 'failed', 'expired', 'confirming'] as const)(
    'many made-up results about a tokenization that is %s cause one query and change nothing',
    async (state, { openJobHarness }) => {
      const harness = await openJobHarness();
      const id = await openInState(harness, state);
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

  test('the answer of one query also counts for a message that arrived before that query', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const id = await openInState(harness, 'expired');
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

  test('a late success that the gateway does not confirm is queried for a limited time', async ({
    openJobHarness,
    database,
  }) => {
    const harness = await openJobHarness();
    const id = await openInState(harness, 'expired');
    const receive = async () =>
      await harness.receive(id, 'redirect', { status: '1', quickpayId: 'made-up' });
    const { result, callback } = await receive();
    expect([result, callback.state]).toEqual(['not_confirmed_yet', 'received']);
    await ageMessage(database.db, callback.id, 3_600_000);
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('not_confirmed');
    expect((await receive()).callback.state).toBe('accepted');
  });

  test('status pending extends the deadline only when the gateway says pending too', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness({ faults: { pendingVisible: false } });
    const hidden = await harness.open(redirectWithoutPush);
    const { result } = await harness.receive(hidden.id, 'redirect', { status: '-1' });
    expect(result).toBe('step_not_due');
    expect(await harness.row(hidden.id)).toMatchObject({ is_deadline_extended: false });
    harness.sandbox.setFaults({ pendingVisible: true });
    const visible = await harness.open(redirectWithoutPush);
    expect((await harness.receive(visible.id, 'redirect', { status: '-1' })).result).toBe(
      'deadline_extended',
    );
    expect(await harness.row(visible.id)).toMatchObject({ is_deadline_extended: true });
  });

  test('a message is not settled while the gateway gives no answer', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await openInState(harness, 'expired');
    const quickpayId = await harness.decide(id, 'approve');
    harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback, result } = await harness.receive(id, 'redirect', { status: '1', quickpayId });
    expect(result).toBe('no_answer');
    await ageMessage(db, callback.id, 2 * 86_400_000);
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    harness.sandbox.setFaults({ errorRate5xx: 0 });
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('active');
  });

  test('an unproven message does not restart an ended schedule; a proven one does', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const waiting: string[] = [];
    for (const isProven of [true, false]) {
      const id = await openInState(harness, 'confirming');
      await harness.alter(id, 'reconcile_at = null, reconcile_step = 10');
      harness.dropSharedAnswers();
      harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
      const quickpayId = await harness.decide(id, 'approve');
      const received = await harness.receive(id, 'notify', { status: '1', quickpayId, isProven });
      if (isProven) await harness.confirm(id);
      const row = await harness.row(id);
      expect(row.reconcile_at === null).toBe(!isProven);
      harness.sandbox.setFaults({ errorRate5xx: 0 });
      harness.dropSharedAnswers();
      if (isProven) expect(await harness.confirm(id)).toBe('active');
      else {
        waiting.push(received.callback.id);
        // A waiting message is not due until then, so that it does not hide others from the scan.
        const { due_at: due } = received.callback;
        expect(due?.getTime()).toBeGreaterThan(Date.now() + 30_000);
        expect(await harness.run('notify.handle', { callbackId: received.callback.id })).toBe(
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

  test('a message waits for an answer only as long as retention keeps it', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await openInState(harness, 'failed');
    harness.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId: 'made-up',
    });
    await ageMessage(db, callback.id, 365 * 86_400_000);
    harness.dropSharedAnswers();
    expect(await harness.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    const { state } = await db
      .selectFrom('callback')
      .select('state')
      .where('id', '=', callback.id)
      .executeTakeFirstOrThrow();
    expect(state).toBe('accepted');
  });

  test('an answer does not count for a deadline or an attempt that came after its query', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const id = await openInState(harness, 'confirming');
    await harness.receive(id, 'redirect', { status: '1', quickpayId: 'asks' });
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId: 'waits',
    });
    await ageMessage(db, callback.id, 60_000);
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
