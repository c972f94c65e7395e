import { randomBytes, randomInt } from 'node:crypto';
import type { App } from '../../app.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { findAccessToken } from '../../db/access-tokens.ts';
import { findCredential } from '../../db/credentials.ts';
import {
  type EmbeddedPostgres,
  freePort,
  startEmbeddedPostgres,
} from '../../db/embedded-postgres.ts';
import { migrate } from '../../db/migrate.ts';
import { apiScopes } from '../../domain/api-key.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import { addApiKey, revokeApiKey } from '../../http/api/store-api-key.ts';
import { storeCredential } from '../../credential/store.ts';
import { migrateQueueSchema } from '../../queues/postgres-schema.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { generateEncryptionKey } from '../../security/keyring.ts';
import { type MerchantBackend, startMerchantBackend } from './merchant-backend.ts';
import { hashPassword } from '../../security/password.ts';

/** Everything that the demo provides around the worker. */
export interface DemoEnvironment {
  readonly config: Config;
  readonly databaseUrl: string;
  /** On an existing database, a name unique to this run. */
  readonly credentialName: string;
  readonly account: { readonly account: string; readonly terminal: string };
  readonly storeCredentials: (operations: OperationDependencies) => Promise<void>;
  /** Removes the run's credentials and API key from a database that outlives it. */
  readonly removeCredentials: (operations: OperationDependencies) => Promise<void>;
  /** Prints where everything is, and an API key for requests by hand. */
  readonly introduce: (app: App) => Promise<void>;
  readonly tokenGeneration: (operations: OperationDependencies) => Promise<number>;
  readonly untilTokenRenewed: (
    operations: OperationDependencies,
    withinMs: number,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly stayUp: (app: App, signal: AbortSignal) => Promise<void>;
  /** How many events the demo's merchant backend has accepted. */
  readonly eventCount: () => number;
  readonly close: () => Promise<void>;
}

/** Times short enough to watch: seconds in place of a day in production. */
const demoTimes = {
  RECONCILE_SCHEDULE_MS: '500,1000,2000,4000,8000,16000',
  SCAN_INTERVAL_MS: '500',
  MERCHANT_WEBHOOK_SCHEDULE_MS: '0,500,1000,2000,4000',
  ACCESS_TOKEN_TTL_MS: '6000',
  ACCESS_TOKEN_SKEW_MS: '500',
} as const;
/** The deadline of played customers; a reader who follows the documents has the usual day. */
const playedCustomerDeadlineMs = '6000';
const actor = { type: 'operator', id: 'demo' } as const;
const consoleUser = 'demo';

/** The secrets, accounts and port that the demo generates for one run. */
interface DemoKeys {
  readonly run: string;
  readonly account: string;
  readonly terminal: string;
  readonly secureCode: string;
  readonly appKey: string;
  readonly appSecret: string;
  readonly consolePassword: string;
  readonly encryptionKeys: string;
  readonly callbackPort: string;
}

async function makeKeys(): Promise<DemoKeys> {
  const run = randomBytes(3).toString('hex');
  return {
    run,
    account: String(randomInt(100_000, 1_000_000)),
    terminal: String(randomInt(10_000_000, 100_000_000)),
    secureCode: randomBytes(16).toString('hex'),
    appKey: `app-${run}`,
    appSecret: randomBytes(24).toString('hex'),
    consolePassword: randomBytes(9).toString('base64url'),
    encryptionKeys: `demo:${generateEncryptionKey('demo').key.reveal()}`,
    callbackPort: process.env['CALLBACK_PORT'] || String(await freePort()),
  };
}

/**
 * Variables of the environment win, except those of the gateway: the demo uses its sandbox only.
 */
async function configure(
  keys: DemoKeys,
  sandbox: Pick<Sandbox, 'checkoutUrl' | 'openApiUrl'>,
  backend: Pick<MerchantBackend, 'url' | 'secret'>,
  isDriving: boolean,
): Promise<Config> {
  return loadConfig({
    OPS_PORT: '0',
    CALLBACK_HOST: '127.0.0.1',
    ENCRYPTION_KEYS: keys.encryptionKeys,
    CONSOLE_USER: consoleUser,
    CONSOLE_PASSWORD_HASH: await hashPassword(keys.consolePassword),
    ...demoTimes,
    ...(isDriving ? { AWAITING_CUSTOMER_DEADLINE_MS: playedCustomerDeadlineMs } : {}),
    ...withoutEmpty(process.env),
    CALLBACK_PORT: keys.callbackPort,
    CALLBACK_PUBLIC_URL: `http://127.0.0.1:${keys.callbackPort}`,
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
    REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
    MERCHANT_WEBHOOK_URL: backend.url,
    MERCHANT_WEBHOOK_SECRETS: backend.secret,
    MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
  });
}

function withoutEmpty(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

/**
 * Starts the sandbox and, without a `DATABASE_URL`, an embedded PostgreSQL; migrates the database.
 *
 * @param isDriving whether the demo plays customers, who have a short deadline
 */
export async function prepareDemo(isDriving: boolean): Promise<DemoEnvironment> {
  const keys = await makeKeys();
  // Reports faults of the environment before it starts any service.
  const nowhere = 'http://127.0.0.1:1';
  const backend = await startMerchantBackend();
  const { database } = await configure(
    keys,
    { checkoutUrl: nowhere, openApiUrl: nowhere },
    backend,
    isDriving,
  );
  const embedded = database.url === undefined ? await startEmbeddedPostgres() : undefined;
  const databaseUrl = database.url ?? embedded?.url ?? '';
  try {
    await migrate(databaseUrl);
    await migrateQueueSchema(databaseUrl);
    const sandbox = await startSandbox({
      accounts: [keys],
      opcardApps: [keys],
      accessTokenTtlMs: Number(demoTimes.ACCESS_TOKEN_TTL_MS),
      pushScheduleMs: [0, 500, 1_000, 2_000, 4_000],
    });
    const config = await configure(keys, sandbox, backend, isDriving);
    return environmentOf(keys, config, databaseUrl, { sandbox, embedded, backend });
  } catch (error) {
    await backend.close();
    await embedded?.close();
    throw error;
  }
}

function environmentOf(
  keys: DemoKeys,
  config: Config,
  databaseUrl: string,
  parts: {
    readonly sandbox: Sandbox;
    readonly embedded: EmbeddedPostgres | undefined;
    readonly backend: MerchantBackend;
  },
): DemoEnvironment {
  const { sandbox, embedded, backend } = parts;
  const ownName = `demo-${keys.run}`;
  const credentialName = embedded === undefined ? ownName : 'default';
  return {
    config,
    databaseUrl,
    credentialName,
    account: keys,
    storeCredentials: async (operations) =>
      await storeCredentials(operations, credentialName, keys),
    async removeCredentials(operations) {
      if (embedded !== undefined) return;
      await removeCredentials(operations, credentialName);
      await revokeApiKey(operations, ownName, actor);
    },
    async introduce(app) {
      const keyOf = { name: ownName, scopes: apiScopes };
      const apiKey = await addApiKey(app.operations, keyOf, actor);
      const urls = app.urls ?? { public: '', private: '' };
      console.log(
        `  database   ${embedded === undefined ? 'DATABASE_URL' : 'embedded PostgreSQL'}`,
      );
      console.log(`  queues     BullMQ on ${app.backend.kind}`);
      console.log(`  gateway    sandbox on ${sandbox.url}`);
      console.log(`  your side  a webhook receiver on ${backend.url}`);
      console.log(`  callbacks  ${urls.public}/callbacks/notify`);
      console.log(
        `  console    ${urls.private}/queues  (${consoleUser} / ${keys.consolePassword})`,
      );
      console.log(`  metrics    ${urls.private}/metrics`);
      console.log(
        `  your turn  export TOKEN_WORKER_URL=${urls.private} TOKEN_WORKER_KEY=${apiKey.reveal()}`,
      );
      console.log(`             credential ${credentialName}; see docs/enqueueing.md\n`);
    },
    eventCount: backend.eventCount,
    tokenGeneration: async (operations) => await tokenGeneration(operations, credentialName),
    async untilTokenRenewed(operations, withinMs, signal) {
      const deadline = performance.now() + withinMs;
      while (performance.now() < deadline && !signal.aborted) {
        if ((await tokenGeneration(operations, credentialName)) >= 2) return;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    },
    async stayUp(app, signal) {
      console.log(`\nStill running; look at ${app.urls?.private}/queues. Ctrl-C stops it.`);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    },
    async close() {
      await sandbox.close();
      await backend.close();
      await embedded?.close();
    },
  };
}

async function storeCredentials(
  operations: OperationDependencies,
  name: string,
  { account, terminal, secureCode, appKey, appSecret }: DemoKeys,
): Promise<void> {
  const common = { name, environment: 'sandbox' } as const;
  const secrets = { secureCode };
  await storeCredential(
    operations,
    { ...common, family: 'accept_payments', account, terminal, secrets },
    actor,
  );
  await storeCredential(
    operations,
    { ...common, family: 'opcard', secrets: { appKey, appSecret } },
    actor,
  );
}

/** On a database that outlives the demo, an active credential would be renewed indefinitely. */
async function removeCredentials({ db, door }: OperationDependencies, name: string): Promise<void> {
  for (const family of ['accept_payments', 'opcard'] as const) {
    const row = await findCredential(db, name, family);
    if (row?.state !== 'active') continue;
    await door.apply({ entity: 'credential', row, event: 'credential.removed', audit: { actor } });
  }
}

async function tokenGeneration({ db }: OperationDependencies, name: string): Promise<number> {
  const credential = await findCredential(db, name, 'opcard');
  if (credential === undefined) return 0;
  return (await findAccessToken(db, credential.id))?.generation ?? 0;
}
