import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** The result of a command. */
export interface CommandResult {
  readonly code: number;
  /** Standard output and standard error. */
  readonly output: string;
}

/**
 * Runs `token-worker` in exactly this environment.
 *
 * @param input standard input; null leaves it open and empty
 * @param script a shell script that runs the command as `"$@"`, with the same standard input
 */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | null = '',
  script = 'exec "$@"',
): Promise<CommandResult> {
  return await new Promise((resolve) => {
    const child = execFile(
      '/bin/sh',
      ['-c', script, 'sh', process.execPath, main, ...args],
      { env: { ...env }, timeout: 25_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, output: stdout + stderr });
      },
    );
    if (input !== null) child.stdin?.end(input);
  });
}
