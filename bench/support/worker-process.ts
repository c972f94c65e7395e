import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Role } from '../../src/domain/roles.ts';

/** A worker in its own process, as `npm start` runs it. */
export interface WorkerProcess {
  /** Sends SIGKILL: jobs stay unfinished and connections break. */
  readonly kill: () => Promise<void>;
  /** Sends SIGTERM. Throws when the worker does not shut down cleanly. */
  readonly stop: () => Promise<void>;
}

const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;

/** The time in milliseconds that a worker takes to load on this machine now; 700 when idle. */
export async function measureStartMs(): Promise<number> {
  const startedAt = performance.now();
  await once(spawn(process.execPath, [main, 'start', '--help'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

const linesMax = 100;

/**
 * Starts `token-worker start` and waits until it is up. Throws its output when it exits instead.
 */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  roles: readonly Role[],
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [main, 'start', '--roles', roles.join(',')], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  // A failed run must not leave the process behind.
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  void exited.then(() => process.off('exit', end));
  const lines: string[] = [];
  await untilUp(child.stdout, exited, lines);
  return {
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      if (code !== 0) throw new Error(`a worker did not shut down cleanly: ${lines.join('\n')}`);
    },
  };
}

async function untilUp(stdout: Readable, exited: Promise<unknown>, lines: string[]): Promise<void> {
  const isUp = new Promise<void>((resolve) => {
    // Read all output: a full pipe would block the worker.
    createInterface({ input: stdout }).on('line', (line) => {
      lines.push(line);
      if (lines.length > linesMax) lines.shift();
      if (line.includes('the worker is up')) resolve();
    });
  });
  await Promise.race([
    isUp,
    exited.then(() => {
      throw new Error(`a worker did not come up: ${lines.join('\n')}`);
    }),
  ]);
}
