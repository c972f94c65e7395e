import { describe, expect } from 'vitest';
import { openAccount } from '../../src/account/open-account.ts';
import { addCredential } from '../../src/credential/add.ts';
import { revealOpccount } from '../../src/credential/reveal-opccount.ts';
import { endOverlap, rotateCredential } from '../../src/credential/rotate.ts';
import { testActor } from '../support/builders.ts';
import { overtakenDoor } from '../support/harness/overtaken-door.ts';
import { test } from '../support/harness/token-harness.ts';
import { secretsOf } from '../support/secrets-of.ts';

const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };
const till = { name: 'till', family: 'accept_payments' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

describe('a rotation', () => {
  test('keeps the former secure code until the overlap is ended', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    const { dependencies } = harness;
    await addCredential(dependencies, till, 'sandbox', { ...account, publicKey: 'p' }, testActor);
    const codes = async (): Promise<readonly string[]> => {
      const { row } = await secretsOf(harness.dependencies, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'rotated',
    );
    expect(await codes()).toEqual(['code-2', 'code-1']);
    expect((await secretsOf(harness.dependencies, till)).secrets['publicKey']).toBe('p');
    expect(await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor)).toBe(
      'unchanged',
    );
    expect(await endOverlap(dependencies, till, testActor)).toBe('rotated');
    expect(await codes()).toEqual(['code-2']);
    expect(await endOverlap(dependencies, till, testActor)).toBe('unchanged');
  });

  test('keeps at most five former codes of an overlap: the oldest and the latest ones', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', account, testActor);
    const codes = async (): Promise<readonly string[]> => {
      const { row } = await secretsOf(dependencies, till);
      return openAccount(dependencies.keyring, row).secureCodes.map((code) => code.reveal());
    };
    const rotate = async (secureCode: string) =>
      await rotateCredential(dependencies, till, { secureCode }, testActor);
    await rotate('typo');
    await rotate('right');
    expect(await codes()).toEqual(['right', 'typo', 'code-1']);
    // Rotating back to a former code does not list it twice.
    await rotate('code-1');
    expect(await codes()).toEqual(['code-1', 'right', 'typo']);
    for (const code of ['2', '3', '4', '5', '6']) await rotate(code);
    expect(await codes()).toEqual(['6', '5', '4', '3', '2', 'typo']);
    await endOverlap(dependencies, till, testActor);
    expect(await codes()).toEqual(['6']);
  });

  test('succeeds although a backend reveals the credential at the same moment', async ({
    openTokenHarness,
  }) => {
    const { dependencies } = await openTokenHarness();
    const funds = { name: 'funds', family: 'opccount' } as const;
    const content = { number: 'VA1', vaCode: '1', privateKey: 'key-1' };
    await addCredential(dependencies, funds, 'sandbox', content, testActor);
    const door = overtakenDoor(dependencies.door, 'credential.rotated', async () => {
      await revealOpccount(dependencies, 'funds', { actor: shop });
    });
    const change = { privateKey: 'key-2' };
    expect(await rotateCredential({ ...dependencies, door }, funds, change, testActor)).toBe(
      'rotated',
    );
    const { privateKey } = await revealOpccount(dependencies, 'funds', { actor: shop });
    expect(privateKey).toBe('key-2');
  });

  test('keeps the change of a concurrent rotation', async ({ openTokenHarness }) => {
    const { dependencies } = await openTokenHarness();
    await addCredential(dependencies, till, 'sandbox', account, testActor);
    const door = overtakenDoor(dependencies.door, 'credential.rotated', async () => {
      await rotateCredential(dependencies, till, { secureCode: 'code-2' }, testActor);
    });
    const overtaken = { ...dependencies, door };
    expect(await rotateCredential(overtaken, till, { publicKey: 'p2' }, testActor)).toBe('rotated');
    expect((await secretsOf(dependencies, till)).secrets).toEqual({
      secureCode: 'code-2',
      secureCodePrevious: 'code-1',
      publicKey: 'p2',
    });
  });
});
