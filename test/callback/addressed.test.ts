import { describe, expect } from 'vitest';
import { acceptCallback } from '../../src/callback/accept.ts';
import { findCallback } from '../../src/db/callbacks.ts';
import type { TokenizationRow } from '../../src/db/rows.ts';
import type { Channel } from '../../src/domain/callback.ts';
import type { Outcome } from '../../src/execution/define-job.ts';
import { test } from '../support/harness/harness-test.ts';
import { type JobHarness, redirectWithoutPush } from '../support/harness/job-harness.ts';
import { runJob, wordOf } from '../support/harness/run-job.ts';

/** The next scheduled query is hours later, so that only messages cause queries. */
const rareQueries = { settings: { reconcileScheduleMs: [3_000_000] } } as const;

const form = 'application/x-www-form-urlencoded';

/** Stores a message at a per-request URL, as the listener does. */
async function send(
  { dependencies }: JobHarness,
  { id }: TokenizationRow,
  channel: Channel,
  fields: Readonly<Record<string, string>> = {},
) {
  return await acceptCallback(dependencies, {
    channel,
    contentType: form,
    body: Buffer.from(new URLSearchParams(fields).toString()),
    sourceIp: undefined,
    addressedTo: id,
  });
}

/** Runs the jobs that wait in the outbox for a message; jobs with the same id run once. */
async function runOutbox({ dependencies }: JobHarness, callbackId: string) {
  const rows = await dependencies.db.deleteFrom('outbox').returningAll().execute();
  const jobs = rows.filter(({ payload }) => payload['callbackId'] === callbackId);
  const outcomes: Outcome[] = [];
  for (const id of new Set(jobs.map((row) => row.job_id))) {
    const name = jobs.find((row) => row.job_id === id)?.job_name ?? '';
    outcomes.push(await runJob(name, { callbackId }, dependencies, { id }));
  }
  return outcomes.map(wordOf);
}

/** Lets the time pass in which a message repeats its query. */
async function ageMessage({ dependencies }: JobHarness, id: string): Promise<void> {
  const receivedAt = new Date(Date.now() - 1_200_000);
  await dependencies.db
    .updateTable('callback')
    .set({ received_at: receivedAt })
    .where('id', '=', id)
    .execute();
}

const accountOf = ({ account, terminal }: TokenizationRow) => ({ account, terminal });

describe('a message to a per-request URL', () => {
  test.for<[string, (row: TokenizationRow) => Readonly<Record<string, string>>]>([
    [
      'another reference',
      (row) => ({ ...accountOf(row), merchant_reference_id: 'other', quickpay_status: '-1' }),
    ],
    [
      'another account',
      (row) => ({
        account: '999999',
        terminal: '99999999',
        merchant_reference_id: row.merchant_reference_id,
        quickpay_status: '-1',
      }),
    ],
    [
      'another amount',
      (row) => ({
        ...accountOf(row),
        merchant_reference_id: row.merchant_reference_id,
        quickpay_status: '-1',
        order_amount: '99.99',
      }),
    ],
    ['a broken grammar', (row) => ({ ...accountOf(row), quickpay_status: '-1' })],
    ['no status of a token', (row) => ({ ...accountOf(row), notice_type: 'refund' })],
  ])(
    'makes the worker query again while the record of the gateway lags, with %s',
    async ([, fieldsOf], { openJobHarness }) => {
      const harness = await openJobHarness(rareQueries);
      const row = await harness.open(redirectWithoutPush);
      const { id } = await send(harness, row, 'redirect', fieldsOf(row));
      expect(await harness.run('callback.verify', { callbackId: id })).toBe('not_confirmed_yet');
      await harness.decide(row.id, 'approve');
      harness.dropSharedAnswers();
      await harness.run('callback.verify', { callbackId: id });
      expect((await harness.row(row.id)).state).toBe('active');
      expect(await findCallback(harness.dependencies.db, id)).toMatchObject({ state: 'rejected' });
    },
  );

  test('causes no query when it was proven and arrives again', async ({ openJobHarness }) => {
    const harness = await openJobHarness(rareQueries);
    const row = await harness.open(redirectWithoutPush);
    const fields = {
      ...accountOf(row),
      merchant_reference_id: row.merchant_reference_id,
      quickpay_status: '0',
    };
    const { id } = await send(harness, row, 'notify', fields);
    await runOutbox(harness, id);
    expect(await findCallback(harness.dependencies.db, id)).toMatchObject({ state: 'accepted' });
    expect(await send(harness, row, 'notify', fields)).toMatchObject({ id, isDuplicate: true });
    expect(await runOutbox(harness, id)).toEqual([]);
  });

  test('makes the worker query again when it arrives again after its verdict', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness(rareQueries);
    const row = await harness.open(redirectWithoutPush);
    const { id } = await send(harness, row, 'redirect');
    await ageMessage(harness, id);
    expect(await runOutbox(harness, id)).toEqual(['rejected_unreadable']);
    harness.dropSharedAnswers();
    const queries = harness.sandbox.state().calls.query;
    // The customer's browser brings the redirect three more times, and then the customer pays.
    for (let count = 0; count < 3; count += 1) {
      expect(await send(harness, row, 'redirect')).toMatchObject({ id, isDuplicate: true });
    }
    expect((await runOutbox(harness, id)).at(-1)).toBe('not_confirmed_yet');
    expect(harness.sandbox.state().calls.query).toBe(queries + 1);
    await harness.decide(row.id, 'approve');
    harness.dropSharedAnswers();
    await send(harness, row, 'redirect');
    expect(await runOutbox(harness, id)).toEqual(['queried_again']);
    expect((await harness.row(row.id)).state).toBe('active');
    expect(await harness.run('callback.verify', { callbackId: id })).toBe('already_judged');
  });

  test('makes the worker query the tokenization that it names too, with one warning', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness(rareQueries);
    const first = await harness.open(redirectWithoutPush);
    const warnings: string[] = [];
    const logger = {
      ...harness.dependencies.logger,
      warn: (_fields: object, message: string) => void warnings.push(message),
    };
    for (let count = 0; count < 2; count += 1) {
      const named = await harness.open(redirectWithoutPush);
      await harness.decide(named.id, 'approve');
      const { id } = await send(harness, first, 'notify', {
        ...accountOf(named),
        merchant_reference_id: named.merchant_reference_id,
        quickpay_status: '-1',
      });
      const as = { ...harness.dependencies, logger };
      await harness.run('notify.handle', { callbackId: id }, as);
      expect((await harness.row(named.id)).state).toBe('active');
      expect((await harness.row(first.id)).state).toBe('awaiting_customer');
      await ageMessage(harness, id);
      await harness.run('notify.handle', { callbackId: id }, as);
      expect(await findCallback(harness.dependencies.db, id)).toMatchObject({
        reason: 'merchant_reference_mismatch',
        is_believed: false,
      });
    }
    expect(warnings).toEqual([expect.stringContaining('CALLBACK_ADDRESSES=shared')]);
  });
});
