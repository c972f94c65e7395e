import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const { PATH = '', HOME = '', NODE_COMPILE_CACHE = '', CI } = process.env;

/** The variables of each Node.js process that a test starts. Node.js ignores an empty value. */
export const nodeEnv = { NODE_COMPILE_CACHE } as const;

/** The environment of programs that a test starts: the variables needed to find them. */
export const programEnv = { PATH, HOME, ...nodeEnv } as const;

/** Whether a missing program fails the run, as in CI. */
export const areProgramsRequired = CI === 'true';

/** Runs a program to its end. Rejects with its output if its exit code is not 0. */
export const runProgram = promisify(execFile);

/** Whether a program is installed, tested by a harmless call of it. */
export async function isProgramThere([
  program = '',
  ...options
]: readonly string[]): Promise<boolean> {
  return await runProgram(program, options).then(
    () => true,
    () => false,
  );
}
