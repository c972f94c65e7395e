import { userInfo } from 'node:os';
import { describe, expect } from 'vitest';
import type { Db } from '../../src/db/connection/database.ts';
import { storeEnvironmentCredentials } from '../../src/credential/environment.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { Secret } from '../../src/security/secret.ts';
import { test as base } from '../support/harness/fixtures.ts';
import { runCli, spawnCli } from '../support/harness/run-cli.ts';
import { secretsOf } from '../support/secrets-of.ts';

const encryptionKey = generateEncryptionKey('k1');
const till = { name: 'till', family: 'accept_payments' } as const;
const account = { account: '123456', terminal: '12345678', secureCode: 'code-1' };

const test = base.extend('cli', async ({ databaseUrl, database: { db } }) => {
  const env = {
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `k1:${encryptionKey.key.reveal()}`,
  };
  const credentials = async (line: string, input?: object | null) =>
    await runCli(
      ['credentials', ...line.split(' ')],
      env,
      input === undefined || input === null ? input : JSON.stringify(input),
    );
  /** Runs a command with this input, then prints the input that the command has not read. */
  const rest = async (line: string, input: string) =>
    await spawnCli(['credentials', ...line.split(' ')], env, input, '"$@" && cat');
  const secrets = async () =>
    (await secretsOf({ db, keyring: createKeyring([encryptionKey]) }, till)).secrets;
  return await Promise.resolve({ credentials, rest, secrets });
});

async function auditRows(db: Db) {
  return await db
    .selectFrom('audit_event')
    .select(['event', 'actor_type', 'actor_id', 'detail'])
    .where('entity_type', '=', 'credential')
    .orderBy('id')
    .execute();
}

describe('credentials rotate --end-overlap', () => {
  test('ends the overlap of the named credential and changes nothing else', async ({ cli }) => {
    const { credentials, secrets } = cli;
    await credentials('add till --family accept_payments', account);
    await credentials('rotate till --family accept_payments', { secureCode: 'code-2' });
    const overlapping = { secureCode: 'code-2', secureCodePrevious: 'code-1' };
    for (const family of ['opcard', 'opccount']) {
      expect(await credentials(`rotate till --family ${family} --end-overlap`)).toEqual({
        code: 1,
        output: 'Only Accept Payments has secure codes that overlap. (family)\n',
      });
    }
    expect(await secrets()).toEqual(overlapping);

    const ending = 'rotate till --family accept_payments --end-overlap';
    expect((await credentials(`${ending} --file x`)).code).not.toBe(0);
    expect(await secrets()).toEqual(overlapping);

    // It reads no input: an open pipe does not block it.
    expect(await credentials(ending, null)).toEqual({ code: 0, output: 'rotated\n' });
    expect(await secrets()).toEqual({ secureCode: 'code-2' });
  });

  test('leaves standard input to the next command', async ({ cli }) => {
    const { credentials, rest } = cli;
    await credentials('add till --family accept_payments', account);
    await credentials('rotate till --family accept_payments', { secureCode: 'code-2' });
    const list = 'other\nanother\n';
    expect(await rest('rotate till --family accept_payments --end-overlap', list)).toEqual({
      code: 0,
      output: `rotated\n${list}`,
    });
  });
});

test('the audit trail names the operator and the changed fields, and no values', async ({
  cli,
  database: { db },
}) => {
  const { credentials } = cli;
  const rotate = 'rotate till --family accept_payments';
  await credentials('add till --family accept_payments', account);
  await credentials(rotate, { secureCode: 'code-2', publicKey: 'p' });
  await credentials(`${rotate} --end-overlap`);
  await credentials('remove till --family accept_payments');
  await credentials('add till --family accept_payments', { ...account, terminal: '87654321' });
  const rows = await auditRows(db);
  const operator = { actor_type: 'operator', actor_id: userInfo().username };
  const row = (event: string, paths?: readonly string[]) => ({
    ...operator,
    event: `credential.${event}`,
    detail: paths === undefined ? {} : { paths },
  });
  expect(rows).toEqual([
    row('added'),
    row('rotated', ['publicKey', 'secureCode', 'secureCodePrevious']),
    row('rotated', ['secureCodePrevious']),
    row('removed'),
    row('restored', ['publicKey', 'secureCode', 'terminal']),
  ]);
});

test('credentials list shows no token of a removed credential', async ({ cli }) => {
  const { credentials } = cli;
  await credentials('add cards --family opcard', { appKey: 'app-1', appSecret: 's' });
  expect((await credentials('list')).output).toContain('token none, generation 0, no token');
  await credentials('remove cards --family opcard');
  const { output } = await credentials('list');
  expect(output).toContain('cards  opcard  sandbox  removed');
  expect(output).not.toContain('token');
});

test('a credential of the environment is changed by command only after credentials release', async ({
  cli: { credentials },
  database: { db },
  door,
}) => {
  const acceptPayments = { ...account, secureCode: new Secret('code-1') };
  const dependencies = { db, door, keyring: createKeyring([encryptionKey]) };
  await storeEnvironmentCredentials(dependencies, { acceptPayments }, 'sandbox');
  const listed = 'default  accept_payments  sandbox  123456 12345678  active  managed by';
  expect((await credentials('list')).output).toContain(`${listed} environment  since`);

  const key = 'default --family accept_payments';
  expect(await credentials(`rotate ${key}`, { secureCode: 'code-2' })).toMatchObject({
    code: 1,
    output: expect.stringContaining(`"token-worker credentials release ${key}"`),
  });
  expect(await credentials(`release ${key}`)).toEqual({ code: 0, output: 'released\n' });
  expect((await credentials('list')).output).toContain(`${listed} command  since`);
  const released = (await auditRows(db)).at(-1);
  expect(released).toMatchObject({
    event: 'credential.released',
    actor_id: userInfo().username,
    detail: { paths: ['managedBy'] },
  });
});
