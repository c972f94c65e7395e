import type { KyselyPlugin } from 'kysely';
import { describe, expect } from 'vitest';
import { storeConfiguredCredentials } from '../../src/credential/sync-environment.ts';
import { Secret } from '../../src/security/secret.ts';
import { test } from '../support/harness/token-harness.ts';

/** Does something once, between the answer to a query, counted from 1, and whoever asked. */
function afterQuery(number: number, meanwhile: () => Promise<unknown>): KyselyPlugin {
  let count = 0;
  return {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      count += 1;
      if (count === number) await meanwhile();
      return result;
    },
  };
}

describe.for([
  { opcard: { appKey: new Secret('app-1'), appSecret: new Secret('secret') } },
  { acceptPayments: { account: '111111', terminal: '11111111', secureCode: new Secret('code') } },
])('the first start of several processes at once is refused for none', (credentials) => {
  test.for([1, 2, 3, 4])(
    'whichever query of one the other gets in after: %i',
    async (number, { openTokenHarness }) => {
      const { dependencies } = await openTokenHarness();
      let isOvertaken = false;
      const start = async (db = dependencies.db): Promise<void> =>
        await storeConfiguredCredentials({ ...dependencies, db }, credentials, 'sandbox');
      const slow = dependencies.db.withPlugin(
        afterQuery(number, async () => {
          isOvertaken = true;
          await start();
        }),
      );
      await expect(start(slow)).resolves.toBeUndefined();
      expect(isOvertaken).toBe(true);
    },
  );
});
