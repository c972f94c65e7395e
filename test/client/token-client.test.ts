import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createTokenClient, type TokenClient } from '../../src/client/client.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { openFaultyServer, type FaultyAnswer } from '../support/faults/faulty-server.ts';

const id = randomUUID();
const view = {
  id,
  state: 'requested',
  version: 1,
  review: null,
  merchantReferenceId: 'order-1',
  orderReferenceId: null,
  redirectUrl: null,
  credential: 'default',
  methods: 'Klarna',
  customerId: null,
  createdAt: '2026-11-24T00:00:00.000Z',
  updatedAt: '2026-11-24T00:00:00.000Z',
  expiresAt: null,
};
const byReference = { merchantReferenceId: 'order-1' };

async function clientOf(
  faultyAnswers: readonly FaultyAnswer[],
  defaultAnswer: FaultyAnswer,
): Promise<{ readonly client: TokenClient; readonly count: () => number }> {
  const { seen, url } = await openFaultyServer(faultyAnswers, defaultAnswer);
  const client = createTokenClient({ url, apiKey: 'k', timeoutMs: 100 });
  return { client, count: () => seen.length };
}

async function timed<Result>(work: Promise<Result>): Promise<readonly [Result, number]> {
  const startedAt = performance.now();
  return [await work, performance.now() - startedAt];
}

test.for<readonly [string, FaultyAnswer]>([
  ['does not answer', 'silent'],
  ['stalls inside its answers', 'stalled'],
  ['sends a long Retry-After', { status: 503, retryAfter: '30' }],
])('a wait ends at its timeout although the worker %s', async ([, faultyAnswer]) => {
  const { client } = await clientOf([], faultyAnswer);
  const waits = [id, byReference].map(
    async (of) => await timed(faultOf(client.waitForRedirectUrl(of, { timeoutMs: 600 }))),
  );
  for (const [fault, tookMs] of await Promise.all(waits)) {
    expect(fault).toMatchObject({ code: 'timeout', isRetryable: true });
    expect(tookMs).toBeLessThan(2_000);
  }
});

test('a wait ends at once with the reason of its signal', async () => {
  const places = await Promise.all([
    clientOf([], 'silent'),
    clientOf([], 'stalled'),
    clientOf([], { status: 503, retryAfter: '30' }),
    clientOf([], { status: 200, body: { items: [], nextCursor: null } }),
    clientOf([], { status: 200, body: view }),
  ]);
  const reason = new Error('enough');
  const waits = places.flatMap(({ client }, index) =>
    [id, byReference]
      // The last two servers answer only one of the two kinds of wait.
      .filter((of) => index < 3 || (of === id) === (index === 4))
      .map(async (of) => {
        const giveUp = new AbortController();
        const waiting = client.waitForResult(of, { signal: giveUp.signal });
        setTimeout(() => giveUp.abort(reason), 200);
        return await timed(waiting.catch((error: unknown) => error));
      }),
  );
  for (const [error, tookMs] of await Promise.all(waits)) {
    expect(error).toBe(reason);
    expect(tookMs).toBeLessThan(1_500);
  }
});

test('a wait polls slowly if the worker answers early, as one that is about to stop', async () => {
  const { client, count } = await clientOf([], { status: 200, body: view });
  const fault = await faultOf(client.waitForRedirectUrl(id, { timeoutMs: 1_000 }));
  expect(fault).toMatchObject({
    code: 'timeout',
    message: 'The tokenization is still in state requested.',
  });
  expect(count()).toBeGreaterThan(1);
  expect(count()).toBeLessThan(7);
});
