import { expect } from 'vitest';
import { requestConfirmation } from '../../src/tokenization/outcome/request-confirmation.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { type OpenJobHarness, test } from '../support/harness/harness-test.ts';

/** An expired tokenization that is no longer reconciled, and the accounts queried since then. */
async function openExpired(openJobHarness: OpenJobHarness) {
  const asked: string[] = [];
  const harness = await openJobHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      async queryQuickPay(account, lookup, options) {
        asked.push(`${account.environment} ${account.account}`);
        // The gateway finds the reference at any account.
        const known = { ...account, ...harness.account, environment: 'sandbox' as const };
        return await gateway.queryQuickPay(known, lookup, options);
      },
    }),
  });
  const { id } = await harness.open('');
  await harness.passDeadline(id);
  do {
    await harness.makeDue(id);
    await harness.confirm(id);
  } while ((await harness.row(id)).reconcile_at !== null);
  asked.length = 0;
  const { account, terminal } = harness.account;
  const start = async (
    environment: 'sandbox' | 'production',
    place: { readonly account?: string; readonly terminal?: string },
  ): Promise<void> => {
    const acceptPayments = { account, terminal, ...place, secureCode: new Secret('other') };
    await storeEnvironmentCredentials(harness.dependencies, { acceptPayments }, environment);
  };
  return { harness, id, asked, start };
}

test.for([
  { environment: 'production', place: { account: '222222', terminal: '22222222' } },
  { environment: 'sandbox', place: { account: '222222' } },
  { environment: 'sandbox', place: { terminal: '22222222' } },
] as const)(
  'a tokenization is never queried at another account, even after its schedule has ended: %j',
  async ({ environment, place }, { openJobHarness }) => {
    const { harness, id, asked, start } = await openExpired(openJobHarness);
    await start(environment, place);
    await harness.decide(id, 'approve');
    await expect(
      requestConfirmation(harness.dependencies, id, { actor: testActor }),
    ).rejects.toMatchObject({ code: 'state_forbids' });
    expect((await harness.row(id)).reconcile_at).toBeNull();
    // A job that was already queued does not query it either.
    expect(await harness.confirm(id)).toBe('cancel credential_not_found');
    expect(asked).toEqual([]);
    expect((await harness.row(id)).state).toBe('expired');
  },
);

test('an account keeps its environment while one of its tokenizations may be queried again', async ({
  openJobHarness,
}) => {
  const { harness, id, start } = await openExpired(openJobHarness);
  await expect(start('production', {})).rejects.toMatchObject({
    code: 'state_forbids',
    paths: ['environment'],
  });
  await harness.decide(id, 'approve');
  await requestConfirmation(harness.dependencies, id, { actor: testActor });
  await harness.makeDue(id);
  expect(await harness.confirm(id)).toBe('active');
});
