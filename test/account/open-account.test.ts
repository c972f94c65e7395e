import { expect } from 'vitest';
import { requestConfirmation } from '../../src/tokenization/outcome/request-confirmation.ts';
import { storeConfiguredCredentials } from '../../src/credential/sync-environment.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { type OpenDesk, test } from '../support/harness/harness-test.ts';

/** A tokenization that expired and is not asked about any more, and the accounts that were asked since. */
async function openExpired(openDesk: OpenDesk) {
  const asked: string[] = [];
  const desk = await openDesk({
    wrapGateway: (gateway) => ({
      ...gateway,
      async queryQuickPay(account, lookup, options) {
        asked.push(`${account.environment} ${account.account}`);
        // Whichever account it is, it knows the reference.
        const known = { ...account, ...desk.account, environment: 'sandbox' as const };
        return await gateway.queryQuickPay(known, lookup, options);
      },
    }),
  });
  const { id } = await desk.open('');
  await desk.passDeadline(id);
  do {
    await desk.makeDue(id);
    await desk.confirm(id);
  } while ((await desk.row(id)).reconcile_at !== null);
  asked.length = 0;
  const { account, terminal } = desk.account;
  const start = async (
    environment: 'sandbox' | 'production',
    place: { readonly account?: string; readonly terminal?: string },
  ): Promise<void> => {
    const acceptPayments = { account, terminal, ...place, secureCode: new Secret('other') };
    await storeConfiguredCredentials(desk.dependencies, { acceptPayments }, environment);
  };
  return { desk, id, asked, start };
}

test.for([
  { environment: 'production', place: { account: '222222', terminal: '22222222' } },
  { environment: 'sandbox', place: { account: '222222' } },
  { environment: 'sandbox', place: { terminal: '22222222' } },
] as const)(
  'a tokenization is never asked about at another account, also once its schedule is over: %j',
  async ({ environment, place }, { openDesk }) => {
    const { desk, id, asked, start } = await openExpired(openDesk);
    await start(environment, place);
    await desk.decide(id, 'approve');
    await expect(
      requestConfirmation(desk.dependencies, id, { actor: testActor }),
    ).rejects.toMatchObject({ code: 'state_forbids' });
    expect((await desk.row(id)).reconcile_at).toBeNull();
    // Nor by a job that was on its way.
    expect(await desk.confirm(id)).toBe('cancel credential_not_found');
    expect(asked).toEqual([]);
    expect((await desk.row(id)).state).toBe('expired');
  },
);

test('an account does not change its environment while a tokenization of it may be asked about again', async ({
  openDesk,
}) => {
  const { desk, id, start } = await openExpired(openDesk);
  await expect(start('production', {})).rejects.toMatchObject({
    code: 'state_forbids',
    paths: ['environment'],
  });
  await desk.decide(id, 'approve');
  await requestConfirmation(desk.dependencies, id, { actor: testActor });
  await desk.makeDue(id);
  expect(await desk.confirm(id)).toBe('active');
});
