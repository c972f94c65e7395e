import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Role } from '../../src/domain/roles.ts';

/** A worker in a process of its own, which can be killed in the middle of whatever it does. */
export interface MortalWorker {
  /** SIGKILL: nothing is finished, no connection is closed in order. */
  readonly kill: () => Promise<void>;
  /** SIGTERM: resolves when it has stopped in order, and throws when it did not. */
  readonly stop: () => Promise<void>;
}

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Starts `token-worker start` in these roles; resolves when it is up, and throws what it said when it does not come up. */
export async function startMortalWorker(
  roles: readonly Role[],
  env: Readonly<Record<string, string>>,
): Promise<MortalWorker> {
  const worker = spawn(process.execPath, [main, 'start', '--roles', roles.join(',')], {
    env: { CALLBACK_PORT: '0', OPS_PORT: '0', LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(worker, 'exit');
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const listen = (chunk: Buffer): void => {
      said += chunk.toString();
      if (said.includes('the worker is up')) resolve();
    };
    worker.stdout.on('data', listen);
    worker.stderr.on('data', listen);
    worker.once('exit', () => reject(new Error(`a worker did not come up: ${said}`)));
  });
  return {
    async kill() {
      worker.kill('SIGKILL');
      await ended;
    },
    async stop() {
      worker.kill('SIGTERM');
      const [code] = await ended;
      if (code !== 0) throw new Error(`a worker did not stop in order: ${said}`);
    },
  };
}
