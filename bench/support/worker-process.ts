import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Role } from '../../src/domain/roles.ts';

/** A worker as `npm start` runs it, in a process of its own. */
export interface WorkerProcess {
  /** SIGKILL: nothing is finished, no connection is closed in order. */
  readonly kill: () => Promise<void>;
  /** SIGTERM: resolves when it has stopped in order, and throws when it did not. */
  readonly stop: () => Promise<void>;
}

const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** How long it takes here and now to start a process that loads all that a worker does, in milliseconds: 700 on an idle machine. */
export async function measureStartMs(): Promise<number> {
  const startedAt = performance.now();
  await once(spawn(process.execPath, [main, 'start', '--help'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

const saidMax = 100;

/** Starts `token-worker start` in these roles; resolves when it is up, and throws what it said when it does not come up. */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  roles: readonly Role[],
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [main, 'start', '--roles', roles.join(',')], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  // A run that fails must not leave it behind.
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  void exited.then(() => process.off('exit', end));
  const said: string[] = [];
  await untilUp(child.stdout, exited, said);
  return {
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      if (code !== 0) throw new Error(`a worker did not stop in order: ${said.join('\n')}`);
    },
  };
}

async function untilUp(stdout: Readable, exited: Promise<unknown>, said: string[]): Promise<void> {
  const isUp = new Promise<void>((resolve) => {
    // Read to the end, or the worker would stand still on a full pipe.
    createInterface({ input: stdout }).on('line', (line) => {
      said.push(line);
      if (said.length > saidMax) said.shift();
      if (line.includes('the worker is up')) resolve();
    });
  });
  await Promise.race([
    isUp,
    exited.then(() => {
      throw new Error(`a worker did not come up: ${said.join('\n')}`);
    }),
  ]);
}
