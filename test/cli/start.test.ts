import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/fixtures.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

test.for(['SIGTERM', 'SIGINT'] as const)(
  'a worker process that gets %s closes in order and exits with 0',
  async (signal, { databaseUrl, onTestFinished }) => {
    const key = generateEncryptionKey('k1').key.reveal();
    const worker = spawn(process.execPath, [main, 'start'], {
      env: {
        DATABASE_URL: databaseUrl,
        ENCRYPTION_KEYS: `k1:${key}`,
        CALLBACK_HOST: '127.0.0.1',
        CALLBACK_PORT: '0',
        OPS_PORT: '0',
        LOG_LEVEL: 'debug',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // One that outlives a failed test would fill its pipe, and the run would wait for it for ever.
    onTestFinished(() => void worker.kill('SIGKILL'));
    let output = '';
    worker.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    worker.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const url = await eventually('the worker is up', () => {
      const line = output.split('\n').find((candidate) => candidate.includes('the worker is up'));
      return line === undefined ? undefined : /"private":"([^"]+)"/.exec(line)?.[1];
    });
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const exited = once(worker, 'exit');
    worker.kill(signal);
    expect((await exited)[0]).toBe(0);
    const closed = [...output.matchAll(/"part":"([^"]+)","isClosed":true/g)].map(
      ([, part]) => part,
    );
    expect(closed[0]).toBe('public listener');
    expect(closed.at(-1)).toBe('database');
    expect(output).not.toContain(key);
  },
);
