import { randomBytes, randomInt } from 'node:crypto';
import { inject } from 'vitest';
import { type App, startApp } from '../../../src/app.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { roles } from '../../../src/domain/roles.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.ts';
import { generateEncryptionKey } from '../../../src/security/keyring.ts';
import { hashPassword } from '../../../src/security/password.ts';
import { redisPlace } from './fixtures.ts';

/** Where a worker keeps its queues. */
export type Backend = 'postgres' | 'redis';

/** Both backends, for suites that run on each. */
export const backends: readonly Backend[] = ['postgres', 'redis'];

/** The backend of tests that need no particular one: Redis where it is, since it starts faster. */
export function anyBackend(): Backend {
  return inject('redisUrl') === '' ? 'postgres' : 'redis';
}

/** A whole worker with a gateway sandbox, in the test's own process. */
export interface TestWorker {
  readonly app: App;
  readonly sandbox: Sandbox;
  readonly logs: readonly string[];
  readonly account: {
    readonly account: string;
    readonly terminal: string;
    readonly secureCode: string;
  };
  readonly console: { readonly user: string; readonly password: string };
  readonly prefix: string;
  /** The worker's `ENCRYPTION_KEYS`. */
  readonly encryptionKeys: string;
  /** Starts a second worker on the same database, queues and gateway. `close` closes it too. */
  readonly startAnother: () => Promise<App>;
  readonly close: () => Promise<void>;
}

const shortTimes = {
  AWAITING_CUSTOMER_DEADLINE_MS: '60000',
  RECONCILE_SCHEDULE_MS: '200,400,800,1600,3200',
  SCAN_INTERVAL_MS: '200',
} as const;

/** How a test starts a worker. */
export interface TestWorkerOptions {
  readonly databaseUrl: string;
  readonly backend: Backend;
  readonly env?: Readonly<Record<string, string>>;
  readonly sandbox?: SandboxOptions;
}

/** Starts a worker in all roles on the test's database. Undefined when the backend is missing. */
export async function startTestWorker(options: TestWorkerOptions): Promise<TestWorker | undefined> {
  const redis = redisPlace();
  if (options.backend === 'redis' && redis === undefined) return undefined;
  const account = {
    account: String(randomInt(100_000, 1_000_000)),
    terminal: String(randomInt(10_000_000, 100_000_000)),
    secureCode: `canary-${randomBytes(12).toString('hex')}`,
  };
  const opcard = { appKey: 'app-1', appSecret: `canary-${randomBytes(12).toString('hex')}` };
  const sandbox = await startSandbox({
    accounts: [account],
    opcardApps: [opcard],
    pushScheduleMs: [0, 300, 600, 1_200, 2_400],
    ...options.sandbox,
  });
  const password = randomBytes(8).toString('hex');
  const logs: string[] = [];
  const encryptionKeys = `k1:${generateEncryptionKey('k1').key.reveal()}`;
  const config = loadConfig({
    ...shortTimes,
    DATABASE_URL: options.databaseUrl,
    ENCRYPTION_KEYS: encryptionKeys,
    QUEUE_BACKEND: options.backend,
    ...(redis !== undefined && options.backend === 'redis'
      ? { REDIS_URL: redis.url, QUEUE_PREFIX: redis.prefix }
      : {}),
    CALLBACK_HOST: '127.0.0.1',
    CALLBACK_PORT: '0',
    OPS_PORT: '0',
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
    REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
    RETURN_URL_HOSTS: 'shop.example',
    CONSOLE_USER: 'operator',
    CONSOLE_PASSWORD_HASH: await hashPassword(password),
    SHUTDOWN_DEADLINE_MS: '20000',
    ...options.env,
  });
  const start = async (): Promise<App> =>
    await startApp({
      config,
      databaseUrl: options.databaseUrl,
      roles: new Set(roles),
      logger: createLogger({ level: 'debug', destination: { write: (line) => logs.push(line) } }),
    });
  const app = await start();
  const others: App[] = [];
  const actor = { type: 'operator', id: 'test' } as const;
  const { secureCode } = account;
  const common = { name: 'default', environment: 'sandbox' } as const;
  await storeCredential(
    app.operations,
    { ...common, ...account, family: 'accept_payments', secrets: { secureCode } },
    actor,
  );
  await storeCredential(app.operations, { ...common, family: 'opcard', secrets: opcard }, actor);
  return {
    app,
    sandbox,
    logs,
    account,
    console: { user: 'operator', password },
    prefix: redis?.prefix ?? '',
    encryptionKeys,
    async startAnother() {
      const other = await start();
      others.push(other);
      return other;
    },
    async close() {
      await Promise.all([app, ...others].map(async ({ stop }) => await stop()));
      await sandbox.close();
      if (options.backend === 'redis') await redis?.clear();
    },
  };
}
