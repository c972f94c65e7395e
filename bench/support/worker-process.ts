import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Role } from '../../src/domain/roles.ts';
import { type ChildProcess, startChildProcess } from './child-process.ts';

const main = new URL('../../src/cli/main.ts', import.meta.url);

/** The time in milliseconds that a worker takes to load on this machine now; 700 when idle. */
export async function measureStartMs(): Promise<number> {
  const startedAt = performance.now();
  const args = [main.pathname, 'start', '--help'];
  await once(spawn(process.execPath, args, { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

/** Starts `token-worker start` as `npm start` does, and waits until it is up. */
export async function startWorkerProcess(
  env: Readonly<Record<string, string>>,
  roles: readonly Role[],
): Promise<ChildProcess> {
  return await startChildProcess(main, ['start', '--roles', roles.join(',')], env);
}
