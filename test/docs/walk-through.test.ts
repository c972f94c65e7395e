import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readSection } from '../support/document.ts';
import { eventually } from '../support/eventually.ts';
import { programEnv, runProgram } from '../support/services/programs.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('the curl walk-through of docs/enqueueing.md ends with an active token, and Ctrl-C leaves no data', async () => {
  const { blocks } = await readSection(
    'enqueueing.md',
    'From nothing to an active token, with curl',
  );
  const [start, ...steps] = blocks.filter(({ language }) => language === 'bash');
  // This tree has its packages already.
  const command = start?.code.replace('npm install && ', '') ?? '';
  const directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-demo-'));
  // If this process is root, PostgreSQL runs as another user.
  await chmod(directory, 0o777);
  const env = { ...programEnv, TMPDIR: directory };
  const demo = spawn('bash', ['-c', command], { cwd: root, env, detached: true });
  const ended = once(demo, 'close');
  const end = async (): Promise<void> => {
    // A terminal's Ctrl-C signals the whole process group.
    const isRunning = demo.exitCode === null && demo.signalCode === null;
    if (demo.pid !== undefined && isRunning) process.kill(-demo.pid, 'SIGINT');
    await ended;
  };
  onTestFinished(async () => {
    await end();
    await rm(directory, { recursive: true });
  });
  let printed = '';
  demo.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  demo.stderr.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  const line = await eventually(
    'the demo says whose turn it is',
    () => /your turn +(export TOKEN_WORKER_URL=\S+ TOKEN_WORKER_KEY=\S+)/.exec(printed)?.[1],
  );

  const typed = ['set -euo pipefail', line, ...steps.map(({ code }) => code)].join('\n');
  const { stdout } = await runProgram('bash', ['-c', typed], { env: programEnv });
  const answers = stdout.split('\n').filter((answer) => answer !== '');
  expect(answers).toEqual([
    expect.stringContaining('"merchantReferenceId":"order-4711"'),
    expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/bank\/quickPay\/create\?opRefId=\d+$/),
    expect.stringContaining('"state":"active"'),
    expect.stringMatching(/"quickpayId":"[^"]+"/),
    expect.stringContaining('"event":"tokenization.activated"'),
  ]);
  await end();
  expect((await readdir(directory)).filter((name) => name.includes('postgres'))).toEqual([]);
});
