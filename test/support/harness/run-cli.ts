import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** How a command ended. */
export interface Ended {
  readonly code: number;
  /** Both of its outputs. */
  readonly output: string;
}

/**
 * Runs `token-worker` with this environment and no other. With `input` null its standard input stays open, and nothing comes. A `script`
 * of the shell runs it as `"$@"`, on the same standard input.
 */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  input: string | null = '',
  script = 'exec "$@"',
): Promise<Ended> {
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
