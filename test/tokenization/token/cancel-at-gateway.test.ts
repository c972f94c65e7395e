import { describe, expect } from 'vitest';
import { disableToken } from '../../../src/tokenization/token/disable.ts';
import { testActor } from '../../support/builders.ts';
import { test } from '../../support/harness/harness-test.ts';

describe('cancelling a token at the gateway', () => {
  test('the intent and the result are two events', async ({ openJobHarness }) => {
    const { open, run, row, events } = await openJobHarness();
    const { id } = await open('sandbox:direct');
    expect(await run('token.disable', { tokenizationId: id })).toBe('disabled');
    expect((await row(id)).state).toBe('disabled');
    expect((await events(id)).slice(-2)).toEqual(['token.disabling', 'token.disabled']);
  });

  test('a busy gateway does not count as a cancellation', async ({ openJobHarness }) => {
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        cancelQuickPay: async () =>
          await Promise.resolve({ kind: 'refused', gatewayCode: 'BUSY', scope: 'unclear' }),
        queryQuickPay: async () => await Promise.resolve({ kind: 'none', gatewayCode: 'BUSY' }),
      }),
    });
    const { id } = await harness.open('sandbox:direct');
    expect(await harness.run('token.disable', { tokenizationId: id })).toBe('rescheduled');
    expect(await harness.row(id)).toMatchObject({ state: 'disabling' });
  });

  test('a refused cancellation of a usable token is flagged for review', async ({
    openJobHarness,
  }) => {
    const { open, run, row } = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        cancelQuickPay: async () =>
          await Promise.resolve({ kind: 'refused', gatewayCode: '0500', scope: 'unclear' }),
      }),
    });
    const { id } = await open('sandbox:direct');
    expect(await run('token.disable', { tokenizationId: id })).toBe('disable_refused');
    expect(await row(id)).toMatchObject({ state: 'active', review: 'disable_refused' });
  });

  test('a query job that was enqueued earlier does not cancel the token a second time', async ({
    openJobHarness,
  }) => {
    const results: string[] = [];
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        cancelQuickPay: async (...call) => {
          results.push(await harness.confirm(id));
          return await gateway.cancelQuickPay(...call);
        },
      }),
    });
    const { id } = await harness.open('sandbox:direct');
    expect(await harness.run('token.disable', { tokenizationId: id })).toBe('disabled');
    expect(results).toEqual(['not_due']);
    expect(harness.sandbox.state().calls.cancel).toBe(1);
  });

  test('another request to disable restarts a schedule that has ended', async ({
    openJobHarness,
  }) => {
    const { open, run, row, alter, sandbox, dependencies } = await openJobHarness();
    const { id } = await open('sandbox:direct');
    sandbox.setFaults({ errorRate5xx: 1, faultEndpoints: ['cancel', 'query'] });
    await run('token.disable', { tokenizationId: id });
    await alter(id, 'reconcile_at = null');
    await disableToken(dependencies, { v: 1, tokenizationId: id }, { actor: testActor });
    expect((await row(id)).reconcile_at).not.toBeNull();
    // A backend's own job does the same, at any step of the schedule.
    await alter(id, `reconcile_at = null, reconcile_step = 100`);
    await run('token.disable', { tokenizationId: id });
    expect(await row(id)).toMatchObject({ reconcile_step: 1, reconcile_at: expect.any(Date) });
    sandbox.setFaults({ errorRate5xx: 0 });
    expect(await run('token.disable', { tokenizationId: id })).toBe('disabled');
  });
});
