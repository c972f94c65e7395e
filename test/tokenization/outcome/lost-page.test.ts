import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import type { TokenizationRow } from '../../../src/db/rows.ts';
import { createTransitionDoor } from '../../../src/db/transition-door.ts';
import { isAnnounced } from '../../../src/domain/delivery.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { Secret } from '../../../src/security/secret.ts';
import { hideReferences } from '../../support/faults/hidden-references.ts';
import { type JobHarness, redirectWithoutPush } from '../../support/harness/job-harness.ts';
import { test } from '../../support/harness/harness-test.ts';

const recordOfUnknownStatus = {
  quickpayId: undefined,
  status: 'unknown',
  rawStatus: 'other',
  expiryTime: undefined,
  orderReferenceId: undefined,
  merchantReferenceId: undefined,
  customerId: undefined,
} as const;

const lostReply = { errorAfterEffectRate: 1, faultEndpoints: ['create' as const] };

/** Sends a request whose reply, with the URL of its page, is lost; the second `pending` is due. */
async function losePage(harness: JobHarness): Promise<TokenizationRow> {
  harness.sandbox.setFaults(lostReply);
  const row = await harness.open(redirectWithoutPush);
  expect(await harness.confirm(row.id)).toBe('pending_once');
  expect(await harness.confirm(row.id)).toBe('pending_again');
  await harness.makeDue(row.id);
  harness.sandbox.setFaults({ errorAfterEffectRate: 0 });
  return row;
}

describe('a request whose page was lost with the reply', () => {
  test.for(['new-reference', 'same-reference'] as const)(
    'is sent again under a new reference after two answers "pending" a minute apart (policy %s)',
    async (resubmitPolicy, { openJobHarness }) => {
      const harness = await openJobHarness({ settings: { resubmitPolicy } });
      const { id, gateway_reference: first } = await losePage(harness);
      expect(await harness.confirm(id)).toBe('resubmitted');
      await harness.run('tokenization.request', { tokenizationId: id });
      const row = await harness.row(id);
      expect(row).toMatchObject({ state: 'awaiting_customer', abandoned_references: [first] });
      expect(row.redirect_url).toContain('http');
      await harness.decide(id, 'approve');
      await harness.confirm(id);
      expect((await harness.row(id)).state).toBe('active');
    },
  );

  test('is activated by its first reference if that succeeds after all', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id, gateway_reference: first } = await losePage(harness);
    await harness.confirm(id);
    await harness.run('tokenization.request', { tokenizationId: id });
    const creation = harness.sandbox
      .state()
      .creations.find(({ merchantReferenceId }) => merchantReferenceId === first);
    const { redirect_url: url } = await harness.row(id);
    const lostPage = new URL(url ?? '');
    lostPage.searchParams.set('opRefId', creation?.orderReferenceId ?? '');
    await harness.decide(id, 'approve', lostPage.href);
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('active');
  });

  test.for([
    { resubmitPolicy: 'manual' },
    { resubmitPolicy: 'new-reference', resubmissionsMax: 0 },
  ] as const)(
    'is reported to the merchant at once, in an event of its own, where it must not be sent again: %o',
    async (settings, { openJobHarness }) => {
      const harness = await openJobHarness({ settings });
      const { id } = await losePage(harness);
      expect(await harness.confirm(id)).toBe('redirect_lost');
      expect(await harness.row(id)).toMatchObject({
        state: 'confirming',
        review: 'redirect_lost',
        deadline_at: expect.any(Date),
      });
      expect((await harness.events(id)).at(-1)).toBe('tokenization.redirect_lost');
      expect(isAnnounced('tokenization.redirect_lost')).toBe(true);
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      await harness.passDeadline(id);
      expect(await harness.confirm(id)).toBe('expired');
    },
  );

  test.for(['redirect_host', 'reference_mismatch', 'body_unreadable', 'body_too_large'] as const)(
    'is created once and reported with its cause where the worker read the reply and refused it: %s',
    async (cause, { openJobHarness, database }) => {
      let creations = 0;
      const harness = await openJobHarness({
        wrapGateway: (gateway) => ({
          ...gateway,
          createQuickPay: async (...call) => {
            creations += 1;
            await gateway.createQuickPay(...call);
            return { kind: 'unknown', cause, refusedHost: 'pay.example' };
          },
        }),
      });
      const lines: string[] = [];
      const logger = createLogger({
        level: 'error',
        destination: { write: (line) => void lines.push(line) },
      });
      const { id } = await harness.open(redirectWithoutPush, false);
      const request = { tokenizationId: id };
      await harness.run('tokenization.request', request, { ...harness.dependencies, logger });
      expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
        { ...request, cause, refusedHost: 'pay.example' },
      ]);
      expect(await harness.confirm(id)).toBe('pending_once');
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('redirect_lost');
      const { detail } = await database.db
        .selectFrom('audit_event')
        .select('detail')
        .where('entity_id', '=', id)
        .where('event', '=', 'tokenization.redirect_lost')
        .executeTakeFirstOrThrow();
      expect(detail).toMatchObject({ cause });
      expect(creations).toBe(1);
    },
  );

  test.for([
    { word: 'reference_mismatch', reply: { kind: 'unknown', cause: 'reference_mismatch' } },
    { word: 'code_unclear', reply: { kind: 'unknown', cause: 'code_unclear' } },
    { word: 'unknown', reply: { kind: 'found', records: [recordOfUnknownStatus] } },
  ] as const)(
    'is reported once where ten minutes bring no answer that can be read, and settled by a later one: $word',
    async ({ reply }, { openJobHarness, database }) => {
      let isReadable = false;
      const harness = await openJobHarness({
        faults: lostReply,
        wrapGateway: (gateway) => ({
          ...gateway,
          queryQuickPay: async (...call) =>
            isReadable ? await gateway.queryQuickPay(...call) : reply,
        }),
      });
      const { id } = await harness.open('sandbox:direct');
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      await harness.alter(id, `lost_answer_at = lost_answer_at - interval '10 minutes'`);
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('redirect_lost');
      expect(await harness.row(id)).toMatchObject({ state: 'confirming', review: 'redirect_lost' });
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      const reports = await database.db
        .selectFrom('audit_event')
        .select('reason')
        .where('entity_id', '=', id)
        .where('event', '=', 'tokenization.redirect_lost')
        .execute();
      expect(reports).toEqual([{ reason: 'answer_unreadable' }]);
      isReadable = true;
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('active');
      expect((await harness.row(id)).attempt).toBe(1);
    },
  );

  test('is sent again after two answers that can be read, whatever came before them', async ({
    openJobHarness,
  }) => {
    let isReadable = false;
    const harness = await openJobHarness({
      faults: lostReply,
      wrapGateway: (gateway) => ({
        ...gateway,
        queryQuickPay: async (...call) =>
          isReadable
            ? await gateway.queryQuickPay(...call)
            : { kind: 'unknown', cause: 'code_unclear' },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush);
    await harness.makeDue(id);
    await harness.confirm(id);
    await harness.alter(id, `lost_answer_at = lost_answer_at - interval '1 hour'`);
    isReadable = true;
    expect(await harness.confirm(id)).toBe('pending_once');
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('resubmitted');
  });

  test.for(['timeout', 'http_5xx', 'rate_limited'] as const)(
    'is not reported while queries get no answer, since the page may still be recovered: %s',
    async (cause, { openJobHarness }) => {
      const harness = await openJobHarness({
        faults: lostReply,
        wrapGateway: (gateway) => ({
          ...gateway,
          queryQuickPay: async () => await Promise.resolve({ kind: 'unknown', cause }),
        }),
      });
      const { id } = await harness.open(redirectWithoutPush);
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('rescheduled');
      expect(await harness.row(id)).toMatchObject({
        state: 'submit_unknown',
        lost_answer_at: null,
      });
    },
  );

  test('shows the messages of each attempt in the timeline of its merchant reference', async ({
    openJobHarness,
    database,
  }) => {
    const harness = await openJobHarness();
    const { id, merchant_reference_id: reference } = await losePage(harness);
    await harness.confirm(id);
    await harness.run('tokenization.request', { tokenizationId: id });
    await harness.receive(id, 'notify', { status: '-1' });
    const fields = { merchant_reference_id: reference, order_reference_id: '' };
    await harness.receive(id, 'notify', { status: '-1', fields });
    const { rows } = await sql<{ event: string }>`
      select event from timeline where merchant_reference_id = ${reference}
      and event = 'callback.received'`.execute(database.db);
    expect(rows).toHaveLength(2);
  });

  test.for([
    { resubmitPolicy: 'new-reference', isHiddenFirst: true },
    { resubmitPolicy: 'new-reference', isHiddenFirst: false },
    { resubmitPolicy: 'same-reference', isHiddenFirst: true },
    { resubmitPolicy: 'same-reference', isHiddenFirst: false },
  ] as const)(
    'is sent again under a new reference after one answer "pending" and one "none": %o',
    async ({ resubmitPolicy, isHiddenFirst }, { openJobHarness }) => {
      const hidden = new Set<string>();
      const harness = await openJobHarness({
        settings: { resubmitPolicy },
        faults: lostReply,
        wrapGateway: hideReferences(hidden),
      });
      const { id, gateway_reference: first } = await harness.open(redirectWithoutPush);
      if (isHiddenFirst) hidden.add(first);
      expect(await harness.confirm(id)).toBe(isHiddenFirst ? 'none_once' : 'pending_once');
      await harness.makeDue(id);
      hidden.clear();
      if (!isHiddenFirst) hidden.add(first);
      expect(await harness.confirm(id)).toBe('resubmitted');
      const row = await harness.row(id);
      expect(row.abandoned_references).toEqual([first]);
      expect(row.gateway_reference).not.toBe(first);
    },
  );

  test('a "pending" between two answers "none" counts, and does not restart the minute', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    const harness = await openJobHarness({
      settings: { resubmitPolicy: 'same-reference' },
      faults: lostReply,
      wrapGateway: hideReferences(hidden),
    });
    const { id, gateway_reference: first } = await harness.open(redirectWithoutPush);
    hidden.add(first);
    expect(await harness.confirm(id)).toBe('none_once');
    const { lost_answer_at: firstAt } = await harness.row(id);
    hidden.clear();
    expect(await harness.confirm(id)).toBe('pending_once');
    expect(await harness.row(id)).toMatchObject({
      lost_answer: 'pending',
      lost_answer_at: firstAt,
    });
    hidden.add(first);
    expect(await harness.confirm(id)).toBe('pending_again');
    await harness.makeDue(id);
    expect(await harness.confirm(id)).toBe('resubmitted');
    expect((await harness.row(id)).abandoned_references).toEqual([first]);
  });

  test('is still treated as lost after a signed push said that it is pending', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id } = await losePage(harness);
    await harness.receive(id, 'notify', { status: '-1', isProven: true });
    expect((await harness.events(id)).at(-1)).toBe('tokenization.resubmitted');
  });
});

test.for(['pending', 'unknown'] as const)(
  'a reply with status %s and no redirect address is announced, confirmed by queries and never sent again',
  async (status, { openJobHarness, database }) => {
    const door = createTransitionDoor(database.db, { isAnnouncing: true });
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          await gateway.createQuickPay(...call);
          return {
            kind: 'done',
            quickpayId: new Secret('q-1'),
            status,
            rawStatus: '-1',
            orderReferenceId: undefined,
          };
        },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush, false);
    const request = { tokenizationId: id };
    await harness.run('tokenization.request', request, { ...harness.dependencies, door });
    const announced = database.db.selectFrom('delivery').select(['event_type', 'status']);
    expect(await announced.where('tokenization_id', '=', id).execute()).toEqual([
      { event_type: 'tokenization.pending', status: 'confirming' },
    ]);
    for (const expected of ['rescheduled', 'rescheduled', 'rescheduled']) {
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe(expected);
    }
    expect(await harness.row(id)).toMatchObject({ state: 'confirming', attempt: 1 });
  },
);

test('a request that the gateway does not know is sent again, although its reply was unreadable', async ({
  openJobHarness,
}) => {
  const hidden = new Set<string>();
  let isProxyPage = true;
  const harness = await openJobHarness({
    wrapGateway: (gateway) => ({
      ...hideReferences(hidden)(gateway),
      createQuickPay: async (...call) =>
        isProxyPage
          ? { kind: 'unknown', cause: 'body_unreadable' }
          : await gateway.createQuickPay(...call),
    }),
  });
  const { id } = await harness.open(redirectWithoutPush);
  expect(await harness.confirm(id)).toBe('none_once');
  await harness.makeDue(id);
  isProxyPage = false;
  expect(await harness.confirm(id)).toBe('resubmitted');
  expect(await harness.row(id)).toMatchObject({ lost_reply_cause: null });
  await harness.run('tokenization.request', { tokenizationId: id });
  expect(await harness.row(id)).toMatchObject({ state: 'awaiting_customer' });
});
