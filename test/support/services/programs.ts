import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const { PATH = '', HOME = '', CI } = process.env;

/** The environment of programs that a test starts: what finds them, and nothing else of the run's own. */
export const programEnv: Readonly<Record<'PATH' | 'HOME', string>> = { PATH, HOME };

/** Whether a missing program is a failure, since the run is one that counts. */
export const areProgramsRequired = CI === 'true';

/** Runs a program to its end. Rejects with what it printed when its exit code is not 0. */
export const runProgram = promisify(execFile);

/** Whether a program, asked something harmless, is there. */
export async function isProgramThere([
  program = '',
  ...options
]: readonly string[]): Promise<boolean> {
  return await runProgram(program, options).then(
    () => true,
    () => false,
  );
}
