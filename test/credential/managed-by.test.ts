import { describe, expect } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { releaseCredential } from '../../src/credential/managed-by.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { overtakenDoor } from '../support/harness/overtaken-door.ts';
import { test, type TokenHarness } from '../support/harness/token-harness.ts';
import { secretsOf } from '../support/secrets-of.ts';

const key = { name: 'default', family: 'accept_payments' } as const;
const place = { account: '123456', terminal: '12345678' };

type Dependencies = TokenHarness['dependencies'];

const start = async (dependencies: Dependencies, code: string): Promise<void> => {
  const acceptPayments = { ...place, secureCode: new Secret(code) };
  await storeEnvironmentCredentials(dependencies, { acceptPayments }, 'sandbox');
};

const add = async (dependencies: Dependencies) =>
  await addCredential(dependencies, key, 'sandbox', { ...place, secureCode: 'code-9' }, testActor);

const refusal = {
  code: 'state_forbids',
  message:
    'The credential "default" is managed by the environment: change its OCEANPAYMENT_* variables and restart the worker. ' +
    'If no process names it any more, make it managed by command with "token-worker credentials release default --family accept_payments".',
};

describe('a credential that the environment manages', () => {
  test('is refused to every command that changes it', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    await start(dependencies, 'code-1');
    const before = await secretsOf(dependencies, key);
    const change = { secureCode: 'code-2' };
    const refused = [
      async () => await rotateCredential(dependencies, key, change, testActor),
      async () => await endOverlap(dependencies, key, testActor),
      async () => await removeCredential(dependencies, key, testActor),
      async () => await add(dependencies),
    ];
    for (const command of refused) await expect(command()).rejects.toMatchObject(refusal);
    expect(await secretsOf(dependencies, key)).toEqual(before);
  });

  test.for(['rotated', 'removed'] as const)(
    'cannot be %s by a command if a start of the worker stores it first',
    async (event, { openTokenHarness }) => {
      const { dependencies } = await openTokenHarness();
      await add(dependencies);
      const door = overtakenDoor(dependencies.door, `credential.${event}`, async () => {
        await start(dependencies, 'code-1');
      });
      const overtaken = { ...dependencies, door };
      const command =
        event === 'rotated'
          ? rotateCredential(overtaken, key, { secureCode: 'code-2' }, testActor)
          : removeCredential(overtaken, key, testActor);
      await expect(command).rejects.toMatchObject(refusal);
      const { row, secrets } = await secretsOf(dependencies, key);
      expect(row.state).toBe('active');
      expect(secrets).toEqual({ secureCode: 'code-1' });
    },
  );

  test('is changed by command once it is released, until a start names it again', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    await expect(releaseCredential(dependencies, key, testActor)).rejects.toMatchObject({
      code: 'credential_not_found',
    });
    await start(dependencies, 'code-1');
    // A start that names no credential releases none.
    await storeEnvironmentCredentials(dependencies, {}, 'sandbox');
    expect((await secretsOf(dependencies, key)).row.managed_by).toBe('environment');

    const release = async () => await releaseCredential(dependencies, key, testActor);
    expect(await release()).toBe('released');
    expect(await release()).toBe('unchanged');
    await rotateCredential(dependencies, key, { secureCode: 'code-2' }, testActor);
    expect((await secretsOf(dependencies, key)).secrets).toEqual({
      secureCode: 'code-2',
      secureCodePrevious: 'code-1',
    });

    await start(dependencies, 'code-1');
    expect(await secretsOf(dependencies, key)).toMatchObject({
      row: { managed_by: 'environment' },
      secrets: { secureCode: 'code-1' },
    });
    await release();
    await removeCredential(dependencies, key, testActor);
    await start(dependencies, 'code-1');
    expect((await secretsOf(dependencies, key)).row).toMatchObject({
      state: 'active',
      managed_by: 'environment',
    });
  });
});
