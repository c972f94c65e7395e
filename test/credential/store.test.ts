import { expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import type { CredentialInput } from '../../src/credential/input.ts';
import { removeCredential } from '../../src/credential/remove.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { testActor } from '../support/builders.ts';
import { test } from '../support/harness/token-harness.ts';
import { secretsOf } from '../support/secrets-of.ts';

const till = { name: 'till', family: 'accept_payments' } as const;

test('storing a credential writes only what differs, with an audit row that names the fields', async ({
  openTokenHarness,
}) => {
  const { dependencies, env } = await openTokenHarness();
  const input: CredentialInput = {
    ...till,
    environment: 'sandbox',
    account: '123456',
    terminal: '12345678',
    secrets: { secureCode: 'code-1', publicKey: undefined },
  };
  const [newKey, { encryptionKeys }] = [generateEncryptionKey('k2'), loadConfig(env)];
  const both = { ...dependencies, keyring: createKeyring([newKey, ...encryptionKeys]) };
  const store = async (change: Partial<CredentialInput>, operations = dependencies) =>
    await storeCredential(operations, { ...input, ...change }, testActor);

  expect(await store({})).toBe('added');
  expect(await store({})).toBe('unchanged');
  expect(await store({ terminal: '87654321', secrets: { secureCode: 'code-2' } })).toBe('rotated');
  expect(await store({})).toBe('rotated');
  expect(await store({ managedBy: 'environment' })).toBe('resealed');
  expect(await store({}, both)).toBe('resealed');
  expect(await store({}, both)).toBe('unchanged');
  await removeCredential(both, till, testActor);
  expect(await store({}, both)).toBe('restored');

  const { row } = await secretsOf({ ...both, keyring: createKeyring([newKey]) }, till);
  const rows = await dependencies.db
    .selectFrom('audit_event')
    .select(['event', 'detail'])
    .where('entity_id', '=', row.id)
    .orderBy('version')
    .execute();
  expect(rows).toEqual([
    { event: 'credential.added', detail: {} },
    { event: 'credential.rotated', detail: { paths: ['secureCode', 'terminal'] } },
    { event: 'credential.rotated', detail: { paths: ['secureCode', 'terminal'] } },
    { event: 'credential.resealed', detail: { paths: ['managedBy'] } },
    { event: 'credential.resealed', detail: { paths: ['managedBy'] } },
    { event: 'credential.removed', detail: {} },
    { event: 'credential.restored', detail: { paths: [] } },
  ]);
});
