import { afterEach, expect, it } from 'vitest';
import { type Sandbox, type SandboxEvent, startSandbox } from '../../src/sandbox/sandbox.ts';
import { accountHeaders, clientOf, createBody } from './client.ts';

const references = Array.from({ length: 20 }, (_, index) => `ref-${index}`);
const openSandboxes: Sandbox[] = [];

afterEach(async () => {
  await Promise.all(openSandboxes.splice(0).map((sandbox) => sandbox.close()));
});

/** Creates every reference in this order, with a fault in half of the calls, and an OAuth pair. */
async function runCalls(seed: number, order: readonly string[]) {
  const lastCalls = new Map<string, SandboxEvent>();
  const sandbox = await startSandbox({
    seed,
    faults: { errorAfterEffectRate: 0.5, refreshRejectRate: 0.5 },
    onEvent(event) {
      if (event.type === 'call') lastCalls.set(`${event.endpoint} ${event.key}`, event);
    },
  });
  openSandboxes.push(sandbox);
  for (const referenceId of order) {
    const response = await fetch(`${sandbox.url}/pg/quickPay/create`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...accountHeaders },
      body: JSON.stringify(createBody(referenceId, { remark: 'sandbox:direct' })),
    });
    await response.text();
  }
  sandbox.setFaults({ errorAfterEffectRate: 0 });
  const oauth = await clientOf(sandbox).oauthCreate();
  const creations = sandbox
    .state()
    .creations.toSorted((a, b) => a.merchantReferenceId.localeCompare(b.merchantReferenceId));
  return { creations, lastCalls, oauth };
}

it('the same seed and the same calls give the same ids, tokens and faults', async () => {
  const [first, second] = [await runCalls(7, references), await runCalls(7, references)];
  expect(second).toStrictEqual(first);
  const kinds = [...first.lastCalls.values()].map((event) => event.type === 'call' && event.strike);
  expect(new Set(kinds)).toStrictEqual(new Set([null, 'error']));
});

it('the ids and faults of a creation do not depend on the order of other creates', async () => {
  const [forwards, backwards] = [
    await runCalls(7, references),
    await runCalls(7, references.toReversed()),
  ];
  expect(backwards.creations).toStrictEqual(forwards.creations);
  expect(backwards.lastCalls).toStrictEqual(forwards.lastCalls);
});

it('another seed gives other ids, tokens and faults', async () => {
  const [first, second] = [await runCalls(7, references), await runCalls(8, references)];
  const ids = [...first.creations, ...second.creations].map(({ quickpayId }) => quickpayId);
  const orders = [...first.creations, ...second.creations].map((c) => c.orderReferenceId);
  expect(new Set(ids).size).toBe(2 * references.length);
  expect(new Set(orders).size).toBe(2 * references.length);
  expect(second.oauth).not.toStrictEqual(first.oauth);
  expect(second.lastCalls).not.toStrictEqual(first.lastCalls);
});
