import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** A worker in a process of its own. */
export interface ChildProcess {
  readonly pid: number;
  /** The line of its output that said it is up. */
  readonly upLine: string;
  /** Sends SIGKILL: jobs stay unfinished and connections break. */
  readonly kill: () => Promise<void>;
  /** Sends SIGTERM. Throws when the process does not shut down cleanly. */
  readonly stop: () => Promise<void>;
  /** Stops its clock: it uses no CPU, and its connections stay open. */
  readonly pause: () => void;
  readonly resume: () => void;
}

/** What every worker prints when it takes jobs. */
export const upText = 'the worker is up';

const { PATH, NODE_COMPILE_CACHE } = process.env;

const linesMax = 100;

/** Runs a source file with Node until it prints that it is up. Throws its output if it exits. */
export async function startChildProcess(
  file: URL,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [file.pathname, ...args], {
    env: { PATH, NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  // A failed run must not leave the process behind.
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  void exited.then(() => process.off('exit', end));
  const lines: string[] = [];
  const upLine = await untilUp(child.stdout, exited, lines);
  return {
    pid: child.pid ?? 0,
    upLine,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      if (code !== 0) throw new Error(`a worker did not shut down cleanly: ${lines.join('\n')}`);
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
  };
}

async function untilUp(
  stdout: Readable,
  exited: Promise<unknown>,
  lines: string[],
): Promise<string> {
  const isUp = new Promise<string>((resolve) => {
    // Read all output: a full pipe would block the worker.
    createInterface({ input: stdout }).on('line', (line) => {
      lines.push(line);
      if (lines.length > linesMax) lines.shift();
      if (line.includes(upText)) resolve(line);
    });
  });
  return await Promise.race([
    isUp,
    exited.then(() => {
      throw new Error(`a worker did not come up: ${lines.join('\n')}`);
    }),
  ]);
}
