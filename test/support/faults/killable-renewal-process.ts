import { createAccounts } from '../../../src/account/accounts.ts';
import { sql } from 'kysely';
import pg from 'pg';
import { loadConfig } from '../../../src/config/config.ts';
import {
  applicationRole,
  openDatabase,
  handlePoolErrors,
} from '../../../src/db/connection/database.ts';
import { createTransitionDoor } from '../../../src/db/transition-door.ts';
import { createGatewayClient, type GatewayClient } from '../../../src/gateway/client.ts';
import type { JobDependencies } from '../../../src/execution/dependencies.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createKeyring } from '../../../src/security/keyring.ts';
import { createCoalescedQueries } from '../../../src/gateway/coalesced-queries.ts';
import { createOauthLimiter } from '../harness/oauth-limiter.ts';
import { runJob, wordOf } from '../harness/run-job.ts';
import { watchAwaitPoints } from './await-points.ts';
import { type RenewalOrder, type RenewalReport, standing } from './killable-renewal.ts';

const config = loadConfig(process.env);
const url = process.env['DATABASE_URL'] ?? '';
const database = await openDatabase({ url, poolSizeMax: 4 });
const pool = new pg.Pool({
  connectionString: url,
  max: 8,
  options: `-c search_path=token_lifecycle${database.isRestricted ? ` -c role=${applicationRole}` : ''}`,
});
handlePoolErrors(pool, () => undefined);
// Any number of renewals stand still with their permit.
const oauthLimiter = createOauthLimiter(database.db, config, Infinity);
const gateway = createGatewayClient({ ...config.gateway, oauthLimiter });
const keyring = createKeyring(config.encryptionKeys);
const common = {
  keyring,
  accounts: createAccounts(database.db, keyring, 0),
  settings: config.jobs,
  webhooks: undefined,
  logger: createLogger({ level: 'silent' }),
  random: () => 0.5,
  coalescedQueries: createCoalescedQueries(),
  enqueue: async () => await Promise.resolve(),
};
const otherWorker: JobDependencies = {
  ...common,
  db: database.db,
  door: createTransitionDoor(database.db),
  gateway,
  workerId: 'other',
};

async function renew(credential: string, dependencies: JobDependencies): Promise<string> {
  return wordOf(await runJob('access-token.refresh', { credential }, dependencies));
}

/** Ends the lease of a credential, and has another worker renew its token. */
async function overtake(credential: string, by: GatewayClient): Promise<void> {
  await sql`update access_token set due_at = now() - interval '1 s', lease_until = now() - interval '1 s'
    where credential_id = (select id from credential where name = ${credential})`.execute(
    database.db,
  );
  await renew(credential, { ...otherWorker, gateway: by });
}

const silentGateway: GatewayClient = {
  ...gateway,
  refreshAccessToken: async () => await Promise.resolve({ kind: 'unknown', cause: 'timeout' }),
};

function overtaken(credential: string, overtaker: 'renews' | 'fails'): GatewayClient {
  return {
    ...gateway,
    refreshAccessToken: async (...call) => {
      const reply = await gateway.refreshAccessToken(...call);
      await overtake(credential, overtaker === 'renews' ? gateway : silentGateway);
      return reply;
    },
  };
}

async function carryOut(order: RenewalOrder): Promise<RenewalReport> {
  const { credential, standAt, openApiUrl, overtaker } = order;
  const stands = Promise.withResolvers<string>();
  const ownGateway =
    openApiUrl === undefined
      ? gateway
      : createGatewayClient({ ...config.gateway, openApiUrl, oauthLimiter });
  const world = watchAwaitPoints(
    { pool, gateway: overtaker ? overtaken(credential, overtaker) : ownGateway },
    async (point) => {
      if (point !== standAt) return;
      stands.resolve(standing);
      await new Promise(() => undefined);
    },
  );
  const dependencies: JobDependencies = {
    ...common,
    ...world,
    door: createTransitionDoor(world.db),
    workerId: 'killable',
  };
  const result = await Promise.race([renew(credential, dependencies), stands.promise]);
  return { credential, result, operations: world.operations };
}

process.on('message', (orders: readonly RenewalOrder[]) => {
  for (const order of orders) void carryOut(order).then((report) => process.send?.(report));
});
// The process ends with the test that started it.
process.on('disconnect', () => process.exit());
process.send?.('up');
