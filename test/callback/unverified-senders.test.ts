import { describe, expect } from 'vitest';
import type { Desk } from '../support/harness/job-harness.ts';
import { test } from '../support/harness/harness-test.ts';

/** What people may do who can guess a reference: everything that passes through a browser. */

const quiet = 'sandbox:redirect+dropped';

type End = 'active' | 'failed' | 'expired' | 'confirming';

async function bring(desk: Desk, end: End): Promise<string> {
  const { id } = await desk.open(quiet);
  if (end === 'active') await desk.decide(id, 'approve');
  if (end === 'failed') await desk.decide(id, 'decline');
  if (end === 'expired') await desk.passDeadline(id);
  if (end === 'confirming') await desk.hear(id, 'redirect', { status: '1', quickpayId: 'first' });
  await desk.confirm(id);
  expect((await desk.row(id)).state).toBe(end);
  return id;
}

describe('strangers', () => {
  test.for(['active', 'failed', 'expired', 'confirming'] as const)(
    'a thousand made-up results about one that is %s are one question to the gateway, and leave no trace',
    async (end, { openDesk }) => {
      const desk = await openDesk();
      const id = await bring(desk, end);
      const before = await desk.row(id);
      const asked = desk.sandbox.state().calls.query;
      const results = new Set<string>();
      for (const quickpayId of ['a1', 'a2', 'a3', 'a4', 'a5']) {
        results.add((await desk.hear(id, 'redirect', { status: '1', quickpayId })).result);
      }
      expect(desk.sandbox.state().calls.query - asked).toBeLessThanOrEqual(1);
      expect(results).toContain('asked_lately');
      expect(await desk.row(id)).toEqual(before);
    },
  );

  test('an answer that came after a message answers it too, also where many wait', async ({
    openDesk,
  }) => {
    const desk = await openDesk();
    const id = await bring(desk, 'expired');
    const { callback } = await desk.hear(id, 'redirect', { status: '1', quickpayId: 'made-up' });
    expect(callback.state).toBe('received');
    const asked = desk.sandbox.state().calls.query;
    expect(await desk.run('callback.verify', { callbackId: callback.id })).toBe(
      'not_borne_out_yet',
    );
    expect(desk.sandbox.state().calls.query).toBe(asked);
  });

  test('a late success of a browser is asked about until the gateway has it, then no more', async ({
    openDesk,
    database,
  }) => {
    const desk = await openDesk();
    const id = await bring(desk, 'expired');
    const hear = async () =>
      await desk.hear(id, 'redirect', { status: '1', quickpayId: 'made-up' });
    const { result, callback } = await hear();
    expect([result, callback.state]).toEqual(['not_borne_out_yet', 'received']);
    await database.db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 3_600_000) })
      .where('id', '=', callback.id)
      .execute();
    expect(await desk.run('callback.verify', { callbackId: callback.id })).toBe('not_borne_out');
    expect((await hear()).callback.state).toBe('accepted');
  });

  test('an unproven "pending" gives the customer more time only where the gateway says so too', async ({
    openDesk,
  }) => {
    const desk = await openDesk({ faults: { pendingVisible: false } });
    const unseen = await desk.open(quiet);
    const { result } = await desk.hear(unseen.id, 'redirect', { status: '-1' });
    expect(result).toBe('asked_early');
    expect(await desk.row(unseen.id)).toMatchObject({ is_deadline_extended: false });
    desk.sandbox.setFaults({ pendingVisible: true });
    const seen = await desk.open(quiet);
    expect((await desk.hear(seen.id, 'redirect', { status: '-1' })).result).toBe(
      'deadline_extended',
    );
    expect(await desk.row(seen.id)).toMatchObject({ is_deadline_extended: true });
  });

  test('silence of the gateway is no "not borne out", however long it lasts', async ({
    openDesk,
    database: { db },
  }) => {
    const desk = await openDesk();
    const id = await bring(desk, 'expired');
    const quickpayId = await desk.decide(id, 'approve');
    desk.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback, result } = await desk.hear(id, 'redirect', { status: '1', quickpayId });
    expect(result).toBe('no_answer');
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 2 * 86_400_000) })
      .where('id', '=', callback.id)
      .execute();
    desk.forgetAnswers();
    expect(await desk.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    desk.sandbox.setFaults({ errorRate5xx: 0 });
    desk.forgetAnswers();
    expect(await desk.run('callback.verify', { callbackId: callback.id })).toBe('active');
  });

  test('where the schedule is over, a proven message begins it anew, and an unproven one waits for the gateway itself', async ({
    openDesk,
    database: { db },
  }) => {
    const desk = await openDesk();
    const waiting: string[] = [];
    for (const isProven of [true, false]) {
      const id = await bring(desk, 'confirming');
      await desk.alter(id, 'reconcile_at = null, reconcile_step = 10');
      desk.forgetAnswers();
      desk.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
      const quickpayId = await desk.decide(id, 'approve');
      const heard = await desk.hear(id, 'notify', { status: '1', quickpayId, isProven });
      if (isProven) await desk.confirm(id);
      const row = await desk.row(id);
      expect(row.reconcile_at === null).toBe(!isProven);
      desk.sandbox.setFaults({ errorRate5xx: 0 });
      desk.forgetAnswers();
      if (isProven) expect(await desk.confirm(id)).toBe('active');
      else {
        waiting.push(heard.callback.id);
        // Whoever waits is not looked for until its time has come.
        const { due_at: due } = heard.callback;
        expect(due?.getTime()).toBeGreaterThan(Date.now() + 30_000);
        expect(await desk.run('notify.handle', { callbackId: heard.callback.id })).toBe('active');
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
    openDesk,
    database: { db },
  }) => {
    const desk = await openDesk();
    const id = await bring(desk, 'failed');
    desk.sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['query'] });
    const { callback } = await desk.hear(id, 'redirect', { status: '1', quickpayId: 'made-up' });
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 365 * 86_400_000) })
      .where('id', '=', callback.id)
      .execute();
    desk.forgetAnswers();
    expect(await desk.run('callback.verify', { callbackId: callback.id })).toBe('no_answer');
    const { state } = await db
      .selectFrom('callback')
      .select('state')
      .where('id', '=', callback.id)
      .executeTakeFirstOrThrow();
    expect(state).toBe('accepted');
  });

  test('an answer decides nothing that came after it: neither a deadline nor another attempt', async ({
    openDesk,
    database: { db },
  }) => {
    const desk = await openDesk();
    const id = await bring(desk, 'confirming');
    await desk.hear(id, 'redirect', { status: '1', quickpayId: 'asks' });
    const { callback } = await desk.hear(id, 'redirect', { status: '1', quickpayId: 'waits' });
    await db
      .updateTable('callback')
      .set({ received_at: new Date(Date.now() - 60_000) })
      .where('id', '=', callback.id)
      .execute();
    const asked = desk.sandbox.state().calls.query;
    const judge = async () => await desk.run('callback.verify', { callbackId: callback.id });
    await desk.alter(id, 'deadline_at = now()');
    expect(await judge()).toBe('asked_early');
    expect((await desk.row(id)).state).toBe('confirming');
    expect(desk.sandbox.state().calls.query).toBe(asked);

    await desk.alter(id, 'attempt = attempt + 1');
    await desk.hear(id, 'redirect', { status: '1', quickpayId: 'of-the-next-attempt' });
    expect(desk.sandbox.state().calls.query).toBe(asked + 1);
  });
});
