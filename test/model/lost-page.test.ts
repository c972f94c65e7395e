import fc from 'fast-check';
import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import type { CreateReply, QueryReply } from '../../src/gateway/client.ts';
import { tokenizationTransitions } from '../../src/domain/tokenization.ts';
import { Secret } from '../../src/security/secret.ts';
import { test } from '../support/harness/fixtures.ts';
import { type JobHarness, openJobHarness } from '../support/harness/job-harness.ts';

const unnamed = {
  quickpayId: undefined,
  expiryTime: undefined,
  orderReferenceId: undefined,
  merchantReferenceId: undefined,
  customerId: undefined,
} as const;

const replies = {
  lost: { kind: 'unknown', cause: 'timeout' },
  refused: { kind: 'unknown', cause: 'redirect_host' },
  'without a page': {
    kind: 'done',
    quickpayId: new Secret('q-1'),
    status: 'pending',
    rawStatus: '-1',
    orderReferenceId: undefined,
  },
  'with a page': { kind: 'redirect', url: 'https://127.0.0.1/page', orderReferenceId: undefined },
} as const satisfies Readonly<Record<string, CreateReply>>;

/** No answer settles a tokenization, so that each stays open. */
const answers = {
  pending: { kind: 'found', records: [{ ...unnamed, status: 'pending', rawStatus: '-1' }] },
  none: { kind: 'none', gatewayCode: '10001' },
  unreadable: { kind: 'unknown', cause: 'code_unclear' },
  silence: { kind: 'unknown', cause: 'timeout' },
} as const satisfies Readonly<Record<string, QueryReply>>;

const steps = fc.oneof(
  fc.record({
    kind: fc.constant('message' as const),
    channel: fc.constantFrom('notify', 'redirect'),
    status: fc.constantFrom('1', '0', '-1'),
    isProven: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('query' as const),
    answer: fc.constantFrom<keyof typeof answers>('pending', 'none', 'unreadable', 'silence'),
    afterMinutes: fc.constantFrom(0, 1, 10),
  }),
);

type Step = typeof steps extends fc.Arbitrary<infer Value> ? Value : never;

const histories = fc.record({
  reply: fc.constantFrom<keyof typeof replies>('lost', 'refused', 'without a page', 'with a page'),
  steps: fc.array(steps, { maxLength: 4 }),
});

/** The events that tell the merchant why an open tokenization has no page. */
const tellingEvents = ['tokenization.redirect_lost', 'tokenization.pending'];

async function letPass({ alter, makeDue }: JobHarness, id: string, minutes: number): Promise<void> {
  await makeDue(id);
  await alter(id, `lost_answer_at = lost_answer_at - interval '${minutes} minutes'`);
}

/** What the merchant was told about the page in the present attempt. */
async function findTold(harness: JobHarness, id: string): Promise<readonly string[]> {
  const events = await harness.events(id);
  const present = events.slice(events.lastIndexOf('tokenization.submitting'));
  return present.filter((event) => tellingEvents.includes(event));
}

test('three events lead to `confirming`; the next test is about those without a page', () => {
  const events = tokenizationTransitions.filter(({ to }) => to === 'confirming');
  expect(events.map(({ event }) => event)).toEqual([
    'tokenization.pending',
    'tokenization.redirect_lost',
    'evidence.accepted',
  ]);
});

test('a tokenization that is confirmed without a page: the merchant was told, or will be in ten minutes', async ({
  database,
  door,
  databaseUrl,
}) => {
  let reply: CreateReply = replies.lost;
  let answer: QueryReply = answers.silence;
  const harness = await openJobHarness(
    { db: database.db, door, databaseUrl },
    {
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async () => await Promise.resolve(reply),
        queryQuickPay: async () => await Promise.resolve(answer),
      }),
    },
  );
  const query = async (id: string, view: QueryReply, afterMinutes: number) => {
    answer = view;
    await letPass(harness, id, afterMinutes);
    await harness.confirm(id);
    const { state } = await harness.row(id);
    if (state === 'requested') await harness.run('tokenization.request', { tokenizationId: id });
  };
  const take = async (id: string, step: Step) => {
    if (step.kind === 'query') {
      await query(id, answers[step.answer], step.afterMinutes);
      return;
    }
    const { channel, status, isProven } = step;
    harness.dropSharedAnswers();
    await harness.receive(id, channel, { status, isProven, quickpayId: 'named-by-message' });
  };
  try {
    await fc.assert(
      fc.asyncProperty(histories, async (history) => {
        reply = replies[history.reply];
        answer = answers.silence;
        const { id } = await harness.open('');
        for (const step of history.steps) {
          await take(id, step);
          const { state, redirect_url: url, lost_answer_at: lostAt } = await harness.row(id);
          if (state !== 'confirming' || url !== null) continue;
          expect([lostAt !== null, (await findTold(harness, id)).length]).not.toEqual([false, 0]);
        }
        await query(id, answers.pending, 10);
        const { state, redirect_url: url } = await harness.row(id);
        if (state !== 'confirming' || url !== null) return;
        expect(await findTold(harness, id)).toHaveLength(1);
      }),
      // On a busy machine fewer runs are enough.
      { numRuns: 30, interruptAfterTimeLimit: 30_000 },
    );
    expect(await findAuditBreaks(database.db)).toEqual([]);
  } finally {
    await harness.close();
  }
});
