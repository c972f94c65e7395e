import { randomBytes, randomInt } from 'node:crypto';
import type { App } from '../../app.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { findAccessToken } from '../../db/access-tokens.ts';
import { findCredential } from '../../db/credentials.ts';
import {
  type EmbeddedPostgres,
  freePort,
  startEmbeddedPostgres,
} from '../../db/connection/embedded-postgres.ts';
import { migrate } from '../../db/connection/migrate.ts';
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
  readonly keys: DemoKeys;
  readonly sandbox: Sandbox;
  readonly backend: MerchantBackend;
  /** Undefined on the database that `DATABASE_URL` names. */
  readonly embedded: EmbeddedPostgres | undefined;
  readonly close: () => Promise<void>;
}

/** Times short enough to watch: seconds in place of a day in production. */
const demoTimes = {
  RECONCILE_SCHEDULE_MS: '500,1000,2000,4000,8000,16000',
  SCAN_INTERVAL_MS: '500',
  LOST_ANSWER_SPACING_MS: '1000',
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
    return {
      config: await configure(keys, sandbox, backend, isDriving),
      databaseUrl,
      credentialName: embedded === undefined ? apiKeyNameOf(keys) : 'default',
      keys,
      sandbox,
      backend,
      embedded,
      async close() {
        await sandbox.close();
        await backend.close();
        await embedded?.close();
      },
    };
  } catch (error) {
    await backend.close();
    await embedded?.close();
    throw error;
  }
}

const apiKeyNameOf = ({ run }: DemoKeys): string => `demo-${run}`;

/** Prints where everything is, and an API key for requests by hand. */
export async function introduce(
  { keys, sandbox, backend, embedded, credentialName }: DemoEnvironment,
  app: App,
): Promise<void> {
  const keyOf = { name: apiKeyNameOf(keys), scopes: apiScopes };
  const apiKey = await addApiKey(app.operations, keyOf, actor);
  const urls = app.urls ?? { public: '', private: '' };
  console.log(`  database   ${embedded === undefined ? 'DATABASE_URL' : 'embedded PostgreSQL'}`);
  console.log(`  queues     BullMQ on ${app.backend.kind}`);
  console.log(`  gateway    sandbox on ${sandbox.url}`);
  console.log(`  your side  a webhook receiver on ${backend.url}`);
  console.log(`  callbacks  ${urls.public}/callbacks/notify`);
  console.log(`  console    ${urls.private}/queues  (${consoleUser} / ${keys.consolePassword})`);
  console.log(`  metrics    ${urls.private}/metrics`);
  console.log(
    `  your turn  export TOKEN_WORKER_URL=${urls.private} TOKEN_WORKER_KEY=${apiKey.reveal()}`,
  );
  console.log(`             credential ${credentialName}; see docs/enqueueing.md\n`);
}

/** Stores the credentials of the sandbox's account and application. */
export async function storeCredentials(
  { keys, credentialName }: DemoEnvironment,
  operations: OperationDependencies,
): Promise<void> {
  const { account, terminal, secureCode, appKey, appSecret } = keys;
  const common = { name: credentialName, environment: 'sandbox' } as const;
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

/** Removes credentials and API key from a database that outlives the demo. */
export async function removeCredentials(
  { keys, embedded, credentialName }: DemoEnvironment,
  operations: OperationDependencies,
): Promise<void> {
  if (embedded !== undefined) return;
  const { db, door } = operations;
  for (const family of ['accept_payments', 'opcard'] as const) {
    const row = await findCredential(db, credentialName, family);
    if (row?.state !== 'active') continue;
    await door.apply({ entity: 'credential', row, event: 'credential.removed', audit: { actor } });
  }
  await revokeApiKey(operations, apiKeyNameOf(keys), actor);
}

/** The generation of the demo's access token; 0 before the first. */
export async function tokenGeneration(
  { credentialName }: DemoEnvironment,
  { db }: OperationDependencies,
): Promise<number> {
  const credential = await findCredential(db, credentialName, 'opcard');
  if (credential === undefined) return 0;
  return (await findAccessToken(db, credential.id))?.generation ?? 0;
}
