import { execFile } from 'node:child_process';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { format } from 'node:util';
import { vi } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import { nodeEnv } from '../services/programs.ts';

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** The result of a command. */
export interface CommandResult {
  readonly code: number;
  /** Standard output and standard error. */
  readonly output: string;
}

/**
 * Runs `token-worker` in exactly this environment, as a process of its own. Each command needs one
 * such test, and so does each end of a `start` that has passed its configuration: only a process
 * shows that nothing keeps it alive. `runCli` needs a tenth of the time.
 *
 * @param input standard input; null leaves it open and empty
 * @param script a shell script that runs the command as `"$@"`, with the same standard input
 */
export async function spawnCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | null = '',
  script = 'exec "$@"',
): Promise<CommandResult> {
  return await new Promise((resolve) => {
    const child = execFile(
      '/bin/sh',
      ['-c', script, 'sh', process.execPath, main, ...args],
      { env: { ...nodeEnv, ...env }, timeout: 60_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, output: stdout + stderr });
      },
    );
    if (input !== null) child.stdin?.end(input);
  });
}

/** The end of a command that calls `process.exit`. */
class ExitError extends Error {}

/**
 * Runs `token-worker` in exactly this environment inside the test's process. One command at a time:
 * the environment, the output and the exit code belong to the process.
 *
 * @param input standard input; null leaves it open and empty
 */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | null = '',
): Promise<CommandResult> {
  let output = '';
  const write = (text: unknown): boolean => {
    output += String(text);
    return true;
  };
  const print = (...values: readonly unknown[]): void => void write(`${format(...values)}\n`);
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(print),
    vi.spyOn(console, 'error').mockImplementation(print),
    vi.spyOn(process.stdout, 'write').mockImplementation(write),
    vi.spyOn(process.stderr, 'write').mockImplementation(write),
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(standardInput(input)),
    vi.spyOn(process, 'exit').mockImplementation((code) => {
      process.exitCode = code ?? process.exitCode;
      throw new ExitError();
    }),
  ];
  const before = { env: process.env, exitCode: process.exitCode };
  process.env = { ...env };
  process.exitCode = undefined;
  try {
    await parse(args);
    return { code: exitCode(), output };
  } finally {
    process.env = before.env;
    process.exitCode = before.exitCode;
    for (const spy of spies) spy.mockRestore();
  }
}

async function parse(args: readonly string[]): Promise<void> {
  try {
    const program = await createProgram(args[0] ?? '');
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof ExitError)) throw error;
  }
}

function exitCode(): number {
  return Number(process.exitCode ?? 0);
}

/** A stream in the place of standard input. */
function standardInput(input: string | null): typeof process.stdin {
  const stream = input === null ? new PassThrough() : Readable.from([Buffer.from(input)]);
  return stream as unknown as typeof process.stdin;
}
