import type { KyselyPlugin } from 'kysely';
import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { addCredential } from '../../src/credential/add.ts';
import {
  type EnvironmentCredentials,
  findAccountAtStart,
  findStartFaults,
  storeEnvironmentCredentials,
} from '../../src/credential/environment.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';
import { secretsOf } from '../support/secrets-of.ts';

const key = { name: 'default', family: 'accept_payments' } as const;
const place = { account: '123456', terminal: '12345678' };

type Dependencies = TokenHarness['dependencies'];
type Values = Readonly<Record<'account' | 'secureCode' | 'secureCodePrevious', string>>;

function named({ account = place.account, ...codes }: Partial<Values>): EnvironmentCredentials {
  const secureCodePrevious = codes.secureCodePrevious && new Secret(codes.secureCodePrevious);
  const secureCode = new Secret(codes.secureCode ?? 'code-1');
  return {
    acceptPayments: {
      ...place,
      account,
      secureCode,
      ...(secureCodePrevious && { secureCodePrevious }),
    },
  };
}

async function start(dependencies: Dependencies, values: Partial<Values>) {
  await storeEnvironmentCredentials(dependencies, named(values), 'sandbox');
  return await secretsOf(dependencies, key);
}

describe('a start', () => {
  test('stores exactly what the environment variables name', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    const content = { ...place, secureCode: 'code-0', publicKey: 'p' };
    await addCredential(dependencies, key, 'sandbox', content, testActor);
    await rotateCredential(dependencies, key, { secureCode: 'code-1' }, testActor);
    expect(await start(dependencies, { secureCode: 'code-2' })).toMatchObject({
      row: { managed_by: 'environment', version: 3 },
      secrets: { secureCode: 'code-2' },
    });
    const overlapping = { secureCode: 'code-3', secureCodePrevious: 'code-2' };
    expect((await start(dependencies, overlapping)).secrets).toEqual(overlapping);
    const { row, secrets } = await start(dependencies, { account: '654321' });
    expect(row.account).toBe('654321');
    expect(secrets).toEqual({ secureCode: 'code-1' });
  });

  test('with other environment variables overrides earlier starts, with one audit row each', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    for (const secureCode of ['old', 'old', 'new', 'new', 'old', 'new']) {
      await start(dependencies, { secureCode });
    }
    const rows = await dependencies.db
      .selectFrom('audit_event')
      .select(['event', 'actor_type', 'actor_id', 'detail'])
      .orderBy('version')
      .execute();
    const actor = { actor_type: 'operator', actor_id: 'environment' };
    const rotated = { ...actor, event: 'credential.rotated', detail: { paths: ['secureCode'] } };
    expect(rows).toEqual([
      { ...actor, event: 'credential.added', detail: {} },
      rotated,
      rotated,
      rotated,
    ]);
  });

  test('seals again under a new first encryption key, so that the former one can be retired', async ({
    openTokenHarness,
  }) => {
    const { dependencies, env } = await openTokenHarness();
    const { row } = await start(dependencies, {});
    const newKey = generateEncryptionKey('k2');
    const both = createKeyring([newKey, ...loadConfig(env).encryptionKeys]);
    await start({ ...dependencies, keyring: both }, {});
    const alone = await start({ ...dependencies, keyring: createKeyring([newKey]) }, {});
    expect(alone.row.version).toBe(row.version + 1);
    expect(alone.secrets).toEqual({ secureCode: 'code-1' });
    // A process that lacks the key is refused, as doctor reports in advance.
    const fault = { code: 'key_unknown' };
    expect(await findStartFaults(dependencies, named({}), 'sandbox')).toMatchObject([fault]);
    await expect(start(dependencies, {})).rejects.toMatchObject(fault);
  });

  test('finds the account to check and stores nothing before the check', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const codeAtStart = async (credentials: EnvironmentCredentials) =>
      (await findAccountAtStart(dependencies, credentials, 'sandbox'))?.secureCode.reveal();
    expect(await codeAtStart(named({}))).toBe('code-1');
    expect(await codeAtStart({})).toBeUndefined();
    await start(dependencies, { secureCode: 'code-2' });
    expect(await codeAtStart(named({}))).toBe('code-1');
    expect(await codeAtStart({})).toBe('code-2');
  });
});

/** Runs `overtake` once, after the answer to a query, counted from 1. */
function afterQuery(number: number, overtake: () => Promise<unknown>): KyselyPlugin {
  let count = 0;
  return {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      count += 1;
      if (count === number) await overtake();
      return result;
    },
  };
}

describe.for([
  { opcard: { appKey: new Secret('app-1'), appSecret: new Secret('secret') } },
  named({}),
])('concurrent first starts', (credentials) => {
  test.for([1, 2, 3, 4])(
    'are all accepted and write once, when one overtakes the other after query %i',
    async (number, { openTokenHarness }) => {
      const { dependencies } = await openTokenHarness();
      let isOvertaken = false;
      const startWith = async (db = dependencies.db): Promise<void> =>
        await storeEnvironmentCredentials({ ...dependencies, db }, credentials, 'sandbox');
      const slow = dependencies.db.withPlugin(
        afterQuery(number, async () => {
          isOvertaken = true;
          await startWith();
        }),
      );
      await startWith(slow);
      expect(isOvertaken).toBe(true);
      const rows = await dependencies.db.selectFrom('credential').select('version').execute();
      expect(rows).toEqual([{ version: 1 }]);
    },
  );
});
