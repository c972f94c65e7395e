import { describe, expect } from 'vitest';
import { databaseUnavailable } from '../../../src/db/connection/faults.ts';
import type { CreateReply, GatewayClient, QueryReply } from '../../../src/gateway/client.ts';
import { Secret } from '../../../src/security/secret.ts';
import { type JobHarness, redirectWithoutPush } from '../../support/harness/job-harness.ts';
import { test } from '../../support/harness/harness-test.ts';

const page = 'https://127.0.0.1/page';
const orderReferenceId = '260401093541829655068';
const redirect = { kind: 'redirect', url: page, orderReferenceId } as const;

function doneWith(status: 'active' | 'pending' | 'failed', id = 'q-1'): CreateReply {
  const rawStatus = { active: '1', pending: '-1', failed: '0' }[status];
  const quickpayId = new Secret(id);
  return { kind: 'done', quickpayId, status, rawStatus, orderReferenceId: undefined };
}

/** What happens while a creation's reply is in flight, and what queries answer. */
interface Course {
  reply: CreateReply;
  meanwhile: (id: string) => Promise<void>;
  answer: QueryReply;
}

function followCourse(course: Course, id: () => string) {
  return (gateway: GatewayClient): GatewayClient => ({
    ...gateway,
    createQuickPay: async () => {
      await course.meanwhile(id());
      return course.reply;
    },
    queryQuickPay: async () => await Promise.resolve(course.answer),
  });
}

type OpenHarness = (options: {
  wrapGateway: (gateway: GatewayClient) => GatewayClient;
}) => Promise<JobHarness>;

/** Sends one request; the lease of its call expires before `meanwhile` runs. */
async function sendLate(
  openJobHarness: OpenHarness,
  reply: CreateReply,
  meanwhile: (harness: JobHarness, id: string) => Promise<void> = async () => undefined,
) {
  let id = '';
  const course: Course = {
    reply,
    answer: { kind: 'unknown', cause: 'timeout' },
    async meanwhile() {
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('submit_unknown');
      await meanwhile(harness, id);
    },
  };
  const harness = await openJobHarness({ wrapGateway: followCourse(course, () => id) });
  ({ id } = await harness.open(redirectWithoutPush, false));
  const as = harness.dependencies;
  const send = async (dependencies = as): Promise<string> =>
    await harness.run('tokenization.request', { tokenizationId: id }, dependencies);
  /** Queries with this answer, eleven minutes later. */
  const queryLater = async (answer: QueryReply): Promise<string> => {
    course.answer = answer;
    await harness.makeDue(id);
    await harness.alter(id, `lost_answer_at = lost_answer_at - interval '11 minutes'`);
    return await harness.confirm(id);
  };
  return { harness, id, send, queryLater };
}

const pending: QueryReply = {
  kind: 'found',
  records: [
    {
      quickpayId: undefined,
      status: 'pending',
      rawStatus: '-1',
      expiryTime: undefined,
      orderReferenceId: undefined,
      merchantReferenceId: undefined,
      customerId: undefined,
    },
  ],
};

/** A proven push of a success with a token. Its proof needs the gateway's reference. */
const pushSuccess = async (harness: JobHarness, id: string): Promise<void> => {
  await harness.alter(id, `order_reference_id = '${orderReferenceId}'`);
  await harness.receive(id, 'notify', { status: '1', isProven: true, quickpayId: 'q-1' });
  expect(await harness.row(id)).toMatchObject({ state: 'confirming', redirect_url: null });
};

describe('a reply that comes after its lease has expired', () => {
  test.for([
    'redirect_host',
    'reference_mismatch',
    'body_unreadable',
    'body_too_large',
    'code_unclear',
  ] as const)(
    'and that the worker refused is not answered by another creation: %s',
    async (cause, { openJobHarness }) => {
      const { harness, id, send, queryLater } = await sendLate(openJobHarness, {
        kind: 'unknown',
        cause,
      });
      await send();
      expect(await harness.row(id)).toMatchObject({
        state: 'submit_unknown',
        lost_reply_cause: cause,
        version: 4,
      });
      expect(await queryLater(pending)).toBe('pending_once');
      expect(await queryLater(pending)).toBe('redirect_lost');
    },
  );

  test('and that says nothing new changes nothing', async ({ openJobHarness }) => {
    const { harness, id, send } = await sendLate(openJobHarness, {
      kind: 'unknown',
      cause: 'timeout',
    });
    await send();
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', version: 3 });
  });

  test('with a page ends the search for the page, also once a push has come', async ({
    openJobHarness,
  }) => {
    const lose = async ({ alter }: JobHarness, id: string): Promise<void> =>
      await alter(id, `lost_answer = 'none', lost_answer_at = now()`);
    const { harness, id, send, queryLater } = await sendLate(openJobHarness, redirect, lose);
    await send();
    expect(await harness.row(id)).toMatchObject({
      state: 'awaiting_customer',
      lost_answer: null,
      lost_answer_at: null,
    });
    await harness.receive(id, 'notify', { status: '1', isProven: true, quickpayId: 'q-1' });
    expect(await queryLater(pending)).toBe('rescheduled');
    expect(await harness.events(id)).not.toContain('tokenization.redirect_lost');
  });
});

describe('a reply that comes after a proven push of a success', () => {
  test('with a page gives the customer the page, as if it had come first', async ({
    openJobHarness,
  }) => {
    const { harness, id, send, queryLater } = await sendLate(openJobHarness, redirect, pushSuccess);
    await send();
    expect(await harness.row(id)).toMatchObject({
      state: 'confirming',
      redirect_url: page,
      order_reference_id: orderReferenceId,
      evidence_index: expect.any(String),
      deadline_at: expect.any(Date),
    });
    expect((await harness.events(id)).at(-1)).toBe('tokenization.redirect_issued');
    expect(await queryLater(pending)).toBe('rescheduled');
    expect(await queryLater(pending)).toBe('rescheduled');
    expect(await harness.events(id)).not.toContain('tokenization.redirect_lost');
  });

  test('with a page is committed once, although the answer to its commit is lost', async ({
    openJobHarness,
    door,
  }) => {
    const { harness, id, send } = await sendLate(openJobHarness, redirect, pushSuccess);
    let isLost = false;
    const apply: typeof door.apply = async (change) => {
      const outcome = await door.apply(change);
      if (isLost || !outcome.isApplied || change.event !== 'tokenization.redirect_issued') {
        return outcome;
      }
      isLost = true;
      throw databaseUnavailable();
    };
    await send({ ...harness.dependencies, door: { ...door, apply } });
    const events = await harness.events(id);
    expect(isLost).toBe(true);
    expect(events.filter((event) => event === 'tokenization.redirect_issued')).toHaveLength(1);
  });

  test('with a page takes back the report that the page is lost', async ({ openJobHarness }) => {
    const { harness, id, send } = await sendLate(
      openJobHarness,
      redirect,
      async (jobHarness, tokenizationId) => {
        await pushSuccess(jobHarness, tokenizationId);
        await jobHarness.alter(
          tokenizationId,
          `review = 'redirect_lost', lost_answer = null, lost_answer_at = null`,
        );
      },
    );
    await send();
    expect(await harness.row(id)).toMatchObject({ redirect_url: page, review: null });
  });

  test.for([
    { quickpayId: 'q-1', review: null },
    { quickpayId: 'q-2', review: 'evidence_id_differs' },
  ])(
    'with a token activates it, and flags one that the push did not name: $quickpayId',
    async ({ quickpayId, review }, { openJobHarness }) => {
      const reply = doneWith('active', quickpayId);
      const { harness, id, send } = await sendLate(openJobHarness, reply, pushSuccess);
      await send();
      expect(await harness.row(id)).toMatchObject({ state: 'active', review });
    },
  );

  test('without a page is announced, so that no page counts as lost', async ({
    openJobHarness,
  }) => {
    const reply = doneWith('pending');
    const { harness, id, send, queryLater } = await sendLate(openJobHarness, reply, pushSuccess);
    await send();
    expect((await harness.events(id)).at(-1)).toBe('tokenization.pending');
    expect(await queryLater(pending)).toBe('rescheduled');
    expect(await harness.events(id)).not.toContain('tokenization.redirect_lost');
  });

  test.for<CreateReply>([
    doneWith('failed'),
    { kind: 'refused', gatewayCode: '40000', scope: 'unclear' },
    { kind: 'unknown', cause: 'redirect_host' },
  ])(
    'that contradicts the push is left to the queries: $kind',
    async (reply, { openJobHarness }) => {
      const { harness, id, send } = await sendLate(openJobHarness, reply, pushSuccess);
      await send();
      expect(await harness.row(id)).toMatchObject({ state: 'confirming', version: 4 });
    },
  );
});
