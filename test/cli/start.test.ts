import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { callerOf, makeKey } from '../support/harness/api.ts';
import { requestPayload } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { spawnCli } from '../support/harness/run-cli.ts';
import { nodeEnv } from '../support/services/programs.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

test.for(['SIGTERM', 'SIGINT'] as const)(
  'a worker process that receives %s answers its long polls, shuts down gracefully and exits with 0',
  async (signal, { databaseUrl, onTestFinished }) => {
    const key = generateEncryptionKey('k1').key.reveal();
    const shop = makeKey('shop');
    const worker = spawn(process.execPath, [main, 'start'], {
      env: {
        ...nodeEnv,
        DATABASE_URL: databaseUrl,
        ENCRYPTION_KEYS: `k1:${key}`,
        CALLBACK_HOST: '127.0.0.1',
        CALLBACK_PORT: '0',
        OPS_PORT: '0',
        LOG_LEVEL: 'debug',
        API_KEYS: shop.entry,
        OCEANPAYMENT_ACCOUNT: '995149',
        OCEANPAYMENT_TERMINAL: '99514901',
        OCEANPAYMENT_SECURE_CODE: 'code',
        // No server listens there, so the request stays open.
        OCEANPAYMENT_CHECKOUT_URL: 'http://127.0.0.1:9',
        CALLBACK_PUBLIC_URL: 'http://127.0.0.1:9',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // A process that outlived a failed test would fill its pipe and block the run.
    onTestFinished(() => void worker.kill('SIGKILL'));
    let output = '';
    worker.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    worker.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const url = await eventually('the worker is up', () => {
      const line = output.split('\n').find((candidate) => candidate.includes('the worker is up'));
      return line === undefined ? undefined : /"private":"([^"]+)"/.exec(line)?.[1];
    });
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const call = callerOf(url, shop.key);
    const { id } = (await call('POST', '/v1/tokenizations', { body: requestPayload() })).body;
    const waiting = [
      call('GET', `/v1/tokenizations/${id}?wait=60s&until=final`),
      call('GET', `/v1/tokenizations?customerId=cust-77&wait=60s&until=final`),
    ];
    // After another round trip on its own connection, both requests have been accepted.
    await call('GET', `/v1/tokenizations/${id}`);
    // Not `exit`: the last lines may arrive after it.
    const closed = once(worker, 'close');
    worker.kill(signal);
    const [one, found] = await Promise.all(waiting);
    expect(one).toMatchObject({ status: 200, body: { id, redirectUrl: null } });
    expect(found).toMatchObject({ status: 200, body: { items: [{ id }] } });
    expect((await closed)[0]).toBe(0);
    const parts = [...output.matchAll(/"part":"([^"]+)","isClosed":true/g)].map(([, part]) => part);
    expect(parts[0]).toBe('public listener');
    expect(parts.at(-1)).toBe('database');
    expect(output).not.toContain(key);
  },
);

test('a start whose database connections are cut ends with one sentence and exit code 1', async ({
  databaseUrl,
}) => {
  // The start waits for the lock of the schedulers, so that the cut meets it there.
  await withClient(databaseUrl, async (client) => {
    await client.query(
      `select pg_advisory_lock(hashtextextended('token-lifecycle schedulers', 0))`,
    );
    const started = spawnCli(['start'], {
      DATABASE_URL: databaseUrl,
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
      CALLBACK_PORT: '0',
      OPS_PORT: '0',
      LOG_LEVEL: 'silent',
    });
    await eventually('the start was cut', async () => {
      const { rowCount } = await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rowCount === 1;
    });
    expect(await started).toEqual({
      code: 1,
      output: expect.stringMatching(
        /^PostgreSQL or Redis failed while the command ran \(\w+\).*\n$/,
      ),
    });
  });
});
