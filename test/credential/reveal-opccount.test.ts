import { expect } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { revealOpccount } from '../../src/credential/reveal-opccount.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { testActor } from '../support/builders.ts';
import { overtakenDoor } from '../support/harness/overtaken-door.ts';
import { test } from '../support/harness/token-harness.ts';

const funds = { name: 'funds', family: 'opccount' } as const;
const shop = { type: 'backend', id: 'shop' } as const;

test('each reveal commits an audit row and returns the content of the credential at that commit', async ({
  openTokenHarness,
}) => {
  const { dependencies } = await openTokenHarness();
  const content = { number: 'VA1', vaCode: '1', privateKey: 'key-1' };
  await addCredential(dependencies, funds, 'sandbox', content, testActor);
  const door = overtakenDoor(dependencies.door, 'credential.revealed', async () => {
    await rotateCredential(dependencies, funds, { privateKey: 'key-2' }, testActor);
  });
  const revealing = { ...dependencies, door };
  expect(await revealOpccount(revealing, 'funds', { actor: shop })).toMatchObject({
    privateKey: 'key-2',
  });
  const rows = await dependencies.db
    .selectFrom('audit_event')
    .select(['event', 'actor_id'])
    .execute();
  expect(rows.filter(({ event }) => event === 'credential.revealed')).toEqual([
    { event: 'credential.revealed', actor_id: 'shop' },
  ]);
});
