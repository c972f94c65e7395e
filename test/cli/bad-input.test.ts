import { createServer } from 'node:net';
import { describe, expect, inject } from 'vitest';
import { sandboxDefaults, startSandbox } from '../../src/sandbox/sandbox.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { test } from '../support/harness/fixtures.ts';
import { type CommandResult, runCli, spawnCli } from '../support/harness/run-cli.ts';

const key = `k1:${generateEncryptionKey('k1').key.reveal()}`;

describe('bad input is answered with one sentence, an exit code, and no stack trace', () => {
  const unreachable = 'postgres://worker:hunter2@127.0.0.1:1/tokens';

  type Case = readonly [string, readonly string[], Record<string, string>, number, string];

  function expectSentence(ended: CommandResult, [, , , code, sentence]: Case): void {
    expect(ended.output).toContain(sentence);
    expect(ended.code).toBe(code);
    expect(ended.output).not.toMatch(/\n\s+at |hunter2/);
  }

  // Processes of their own: a case of each command that no other test starts, and a full start.
  test.for<Case>([
    ...(['callbacks replay', 'deliveries replay', 'dead-letters redrive'] as const).map(
      (command): Case => [
        `a malformed id, for ${command}`,
        [...command.split(' '), 'x'],
        { ENCRYPTION_KEYS: key, DATABASE_URL: unreachable },
        1,
        'Give an id as the lists print it',
      ],
    ),
    [
      'an unreachable database',
      ['start'],
      { ENCRYPTION_KEYS: key, DATABASE_URL: unreachable },
      1,
      'PostgreSQL does not answer on 127.0.0.1:1',
    ],
  ])('%s: %j', async (row) => {
    const [, args, env] = row;
    expectSentence(await spawnCli(args, env), row);
  });

  test.for<Case>([
    [
      'a webhook without a secret, over plain http',
      ['start'],
      { ENCRYPTION_KEYS: key, DATABASE_URL: unreachable, MERCHANT_WEBHOOK_URL: 'http://a.example' },
      2,
      'MERCHANT_WEBHOOK_SECRETS: set it',
    ],
    ['a missing key', ['start'], { DATABASE_URL: unreachable }, 2, 'ENCRYPTION_KEYS: set it'],
    [
      'a wrong URL',
      ['start'],
      { ENCRYPTION_KEYS: key, DATABASE_URL: 'localhost' },
      2,
      'DATABASE_URL: give a URL',
    ],
    [
      'an unreachable database',
      ['migrate'],
      { DATABASE_URL: unreachable },
      1,
      'PostgreSQL does not answer on 127.0.0.1:1',
    ],
    [
      'an unknown role',
      ['start', '--roles', 'king'],
      { ENCRYPTION_KEYS: key },
      2,
      '--roles: name any of',
    ],
    [
      'no database in production',
      ['start'],
      { ENCRYPTION_KEYS: key, NODE_ENV: 'production' },
      2,
      'DATABASE_URL: set it',
    ],
    ['a wrong number', ['demo', '--tokens', 'many'], {}, 2, '--tokens: a whole number'],
    ['a wrong switch', ['sandbox', '--fault', 'nonsense=1'], {}, 2, '--fault: correct'],
  ])('%s: %j', async (row) => {
    const [, args, env] = row;
    expectSentence(await runCli(args, env), row);
  });

  test('output whose reader has ended, as behind `head`', async ({ databaseUrl }) => {
    const env = { DATABASE_URL: databaseUrl, ENCRYPTION_KEYS: key };
    const script = '{ "$@"; echo "code $?" >&2; } | :';
    const { output } = await spawnCli(['doctor'], env, '', script);
    expect(output).toMatch(/^code [01]\n$/);
  });

  test('a database without the schema, a missing database', async ({ databaseUrl }) => {
    const url = new URL(inject('adminUrl'));
    const env = { ENCRYPTION_KEYS: key };
    const bare = await spawnCli(['start'], { ...env, DATABASE_URL: url.href });
    expect(bare).toEqual({ code: 1, output: expect.stringContaining('token-worker migrate') });
    url.pathname = '/no_such_database';
    const missing = await spawnCli(['start'], { ...env, DATABASE_URL: url.href });
    expect(missing).toEqual({ code: 1, output: expect.stringContaining('does not exist') });
    const redis = await spawnCli(['start'], {
      ...env,
      DATABASE_URL: databaseUrl,
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect(redis).toEqual({
      code: 1,
      output: expect.stringContaining('Redis does not answer on 127.0.0.1:1'),
    });
  });

  test('the error for a port in use names the variable to change', async ({ databaseUrl }) => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const address = blocker.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const ended = await spawnCli(['start'], {
      ENCRYPTION_KEYS: key,
      DATABASE_URL: databaseUrl,
      CALLBACK_HOST: '127.0.0.1',
      CALLBACK_PORT: port,
      OPS_PORT: '0',
    });
    blocker.close();
    expect(ended.output).toContain('change CALLBACK_PORT');
    expect(ended.code).toBe(1);
  });

  test('doctor reports a wrong account with the variables to correct, and accepts a right one', async ({
    databaseUrl,
  }) => {
    const sandbox = await startSandbox();
    const env = {
      ENCRYPTION_KEYS: key,
      DATABASE_URL: databaseUrl,
      OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
      OCEANPAYMENT_ACCOUNT: sandboxDefaults.account,
      OCEANPAYMENT_TERMINAL: sandboxDefaults.terminal,
    };
    const wrong = await runCli(['doctor'], { ...env, OCEANPAYMENT_SECURE_CODE: 'hunter2' });
    expect(wrong.output).toContain('correct OCEANPAYMENT_ACCOUNT');
    expect(wrong.output).not.toContain('hunter2');
    expect(wrong.code).toBe(1);
    const right = { ...env, OCEANPAYMENT_SECURE_CODE: sandboxDefaults.secureCode };
    const taken = await runCli(['doctor'], right);
    await sandbox.close();
    expect(taken.output).toContain('the gateway accepts the account');
    expect(taken.code).toBe(0);
  });

  test('broken JSON, a wrong payload and an unknown credential have different errors without values', async ({
    databaseUrl,
  }) => {
    const env = { ENCRYPTION_KEYS: key, DATABASE_URL: databaseUrl };
    const enqueue = async (input: string) =>
      await runCli(['enqueue', 'tokenization.request'], env, input);
    expect((await enqueue('{"v":')).output).toBe('The payload is not valid JSON.\n');
    const wrong = await enqueue('{"v":1,"order":{"currency":"hunter2"}}');
    expect(wrong.output).toMatch(
      /^The payload does not fit tokenization\.request\. \(.*order\.currency.*\)\n$/,
    );
    expect(wrong.output).not.toContain('hunter2');
    const complete = {
      v: 1,
      order: {
        currency: 'EUR',
        amount: '1.00',
        methods: 'Klarna',
        redirectUrl: 'https://a.example/',
        notifyUrl: 'https://a.example/',
      },
      merchant: { referenceId: 'r-1' },
      billing: { firstname: 'A', lastname: 'B', email: 'a@example.com', country: 'DE' },
      customer: { id: 'c' },
    };
    const input = JSON.stringify(complete);
    const unknown = await spawnCli(['enqueue', 'tokenization.request'], env, input);
    expect(unknown).toEqual({
      code: 1,
      output: 'No active Accept Payments credential has this name. (credential)\n',
    });
  });
});
