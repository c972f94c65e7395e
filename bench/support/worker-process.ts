import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A worker as `npm start` runs it, in a process of its own. */
export interface WorkerProcess {
  /** SIGKILL: nothing is finished, no connection is closed in order. */
  readonly kill: () => Promise<void>;
}

const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** How long it takes here and now to start a process that loads all that a worker does, in milliseconds: 700 on an idle machine. */
export async function measureStartMs(): Promise<number> {
  const startedAt = performance.now();
  await once(spawn(process.execPath, [main, 'start', '--help'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

/** Starts a worker process; resolves when it is up. */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  roles: readonly string[],
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
  await untilUp(child, exited);
  return {
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function untilUp(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.stdout === null) throw new Error('the worker has no output');
  const lines = createInterface({ input: child.stdout });
  const isUp = new Promise<void>((resolve) => {
    // Read to the end, or the worker would stand still on a full pipe.
    lines.on('line', (line) => {
      if (line.includes('the worker is up')) resolve();
    });
  });
  await Promise.race([
    isUp,
    exited.then(() => {
      throw new Error('a worker process ended before it was up');
    }),
  ]);
}
