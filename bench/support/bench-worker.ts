import { randomBytes } from 'node:crypto';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config/config.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { queueNames } from '../../src/domain/queue-names.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { sandboxDefaults, startSandbox } from '../../src/sandbox/sandbox.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { benchDatabase } from './bench-database.ts';

/** A worker with its gateway sandbox, on a database for one run. */
export interface BenchWorker {
  readonly app: App;
  readonly databaseUrl: string;
  /** `redis` with `BENCH_REDIS_URL`, else `postgres`. */
  readonly queues: 'redis' | 'postgres';
  readonly close: () => Promise<void>;
}

/** Starts a worker in the roles `worker` and `relay`: no listener, no schedules. */
export async function startBenchWorker(): Promise<BenchWorker> {
  const server = await benchDatabase();
  await migrate(server.url);
  await migrateQueueSchema(server.url);
  const sandbox = await startSandbox();
  const redisUrl = process.env['BENCH_REDIS_URL'];
  const app = await startApp({
    config: loadConfig({
      DATABASE_URL: server.url,
      ...(redisUrl === undefined
        ? { QUEUE_BACKEND: 'postgres' }
        : { REDIS_URL: redisUrl, QUEUE_PREFIX: `bench-${randomBytes(4).toString('hex')}` }),
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
      OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
      OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
      OCEANPAYMENT_ACCOUNT: sandboxDefaults.account,
      OCEANPAYMENT_TERMINAL: sandboxDefaults.terminal,
      OCEANPAYMENT_SECURE_CODE: sandboxDefaults.secureCode,
      REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
      CALLBACK_PUBLIC_URL: 'http://127.0.0.1:9',
    }),
    databaseUrl: server.url,
    roles: new Set(['worker', 'relay']),
    logger: createLogger({ level: 'silent' }),
  });
  return {
    app,
    databaseUrl: server.url,
    queues: app.backend.kind,
    async close() {
      // A Redis may be shared, so its queues are removed; the whole database is dropped below.
      if (app.backend.kind === 'redis') {
        for (const name of queueNames) await app.backend.queue(name).obliterate({ force: true });
      }
      await app.stop();
      await sandbox.close();
      await server.close();
    },
  };
}
