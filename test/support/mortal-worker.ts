import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Role } from '../../src/domain/roles.ts';

/** What a worker in a thread is started with. */
export interface MortalWorkerData {
  readonly env: Readonly<Record<string, string>>;
  readonly databaseUrl: string;
  readonly roles: readonly Role[];
}

/** A worker in a thread of its own, which can be killed in the middle of whatever it does. */
export interface MortalWorker {
  /** Ends it as SIGKILL ends a process: nothing is finished, no connection is closed in order. */
  readonly kill: () => Promise<void>;
  /** Asks it to stop in order, and resolves when it has. */
  readonly stop: () => Promise<void>;
}

/** Starts a worker in a thread; resolves when it is up. A thread is there in a fraction of the time that a process takes. */
export async function startMortalWorker(data: MortalWorkerData): Promise<MortalWorker> {
  const thread = new Worker(new URL('./mortal-worker-thread.ts', import.meta.url), {
    workerData: data,
    execArgv: [],
  });
  await once(thread, 'message');
  return {
    kill: async () => {
      await thread.terminate();
    },
    stop: async () => {
      const exited = once(thread, 'exit');
      thread.postMessage('stop', []);
      await exited;
    },
  };
}
