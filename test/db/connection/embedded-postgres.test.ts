import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { programEnv, runProgram } from '../../support/services/programs.ts';
import { isListening } from '../../support/services/services.ts';

const module = new URL('../../../src/db/connection/embedded-postgres.ts', import.meta.url).href;

/** Runs a script with an embedded PostgreSQL as `server`. Rejects with its exit code and output. */
async function runWithServer(script: string): Promise<unknown> {
  const directory = await mkdtemp(join(tmpdir(), 'embedded-postgres-'));
  onTestFinished(async () => await rm(directory, { recursive: true, maxRetries: 5 }));
  // If this process is root, the server runs as another user.
  await chmod(directory, 0o777);
  const start = `const { startEmbeddedPostgres } = await import('${module}');
    const server = await startEmbeddedPostgres();`;
  return await runProgram(process.execPath, ['--input-type=module', '--eval', start + script], {
    env: { ...programEnv, TMPDIR: directory },
  });
}

test('a process with an embedded PostgreSQL ends with the exit code that it set', async () => {
  const run = runWithServer('await server.close(); process.exitCode = 3;');
  await expect(run).rejects.toMatchObject({ code: 3, stderr: '' });
});

test('process.exit stops the embedded PostgreSQL of the process', async () => {
  const run = runWithServer('console.log(server.url); process.exit(4);');
  const ended = await run.then(
    () => undefined,
    (error: { code: number; stdout: string }) => error,
  );
  expect(ended?.code).toBe(4);
  const port = Number(new URL(ended?.stdout.trim() ?? '').port);
  const place = { host: '127.0.0.1', port };
  await eventually('no server listens on its port', async () => !(await isListening(place)));
});
