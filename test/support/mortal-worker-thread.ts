import { parentPort, workerData } from 'node:worker_threads';
import { startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { MortalWorkerData } from './mortal-worker.ts';

const { env, databaseUrl, roles } = workerData as MortalWorkerData;
const app = await startApp({
  config: loadConfig(env),
  databaseUrl,
  roles: new Set(roles),
  logger: createLogger({ level: 'silent' }),
});
parentPort?.on('message', () => {
  void app.stop().then(() => parentPort?.close());
});
parentPort?.postMessage('up', []);
