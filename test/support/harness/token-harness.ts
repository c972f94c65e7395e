import { createAccounts } from '../../../src/account/accounts.ts';
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { expect } from 'vitest';
import { loadConfig } from '../../../src/config/config.ts';
import { findAccessToken, type ReadAccessToken } from '../../../src/db/access-tokens.ts';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import { findCredential } from '../../../src/db/credentials.ts';
import type { Db } from '../../../src/db/connection/database.ts';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import type { CredentialEnvironment } from '../../../src/domain/credential.ts';
import { createGatewayClient, type GatewayClient } from '../../../src/gateway/client.ts';
import { tokenPlace } from '../../../src/access-token/row.ts';
import type { JobDependencies } from '../../../src/execution/dependencies.ts';
import { createCoalescedQueries } from '../../../src/gateway/coalesced-queries.ts';
import { removeCredential } from '../../../src/credential/remove.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../src/sandbox/sandbox.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { testActor } from '../builders.ts';
import { test as base } from './fixtures.ts';
import { createOauthLimiter } from './oauth-limiter.ts';
import { runJob, wordOf } from './run-job.ts';

/**
 * Runs renewals one at a time: the real job against real PostgreSQL and the gateway sandbox,
 * without queues and without waiting. One harness may serve many credentials, one after the other.
 */
export interface TokenHarness {
  readonly sandbox: Sandbox;
  readonly gateway: GatewayClient;
  /** The same gateway, with a timeout of 150 ms. */
  readonly impatientGateway: GatewayClient;
  readonly dependencies: JobDependencies;
  /** The environment variables, for a process beside the harness. */
  readonly env: Readonly<Record<string, string>>;
  readonly logs: readonly string[];
  /**
   * Stores the application under a name of its own, as an operator would; `diesBefore` this change
   * is committed, throwing `killed`.
   */
  readonly add: (
    name: string,
    appKey: string,
    options?: { readonly diesBefore?: string; readonly environment?: CredentialEnvironment },
  ) => Promise<void>;
  /** Removes the credential, as an operator would; `diesBefore` as above. */
  readonly remove: (name: string, options?: { readonly diesBefore?: string }) => Promise<void>;
  /** Runs `access-token.refresh` once and gives its result. */
  readonly renew: (
    name: string,
    options?: { readonly generation?: number; readonly as?: Partial<JobDependencies> },
  ) => Promise<string>;
  readonly row: (name: string) => Promise<ReadAccessToken>;
  readonly findRow: (name: string) => Promise<ReadAccessToken | undefined>;
  /** The access token that the row holds, opened; undefined where there is none. */
  readonly accessToken: (name: string) => Promise<string | undefined>;
  /** The refresh token that the row holds, opened. */
  readonly refreshToken: (name: string) => Promise<string>;
  /** Whether the gateway takes an access token. */
  readonly isGood: (accessToken: string) => Promise<boolean>;
  /** Ends every wait and lease of the row. */
  readonly makeDue: (name: string) => Promise<void>;
  /** Lets the row's access token expire. */
  readonly expire: (name: string) => Promise<void>;
  /** Lets time pass for one credential: moves every instant of its row into the past. */
  readonly pass: (name: string, ms: number) => Promise<void>;
  readonly events: (name: string) => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

/** The secret of every application of a harness. */
export const appSecret = randomBytes(12).toString('hex');

/** Options of a harness. */
export interface TokenHarnessOptions {
  readonly appKeys?: readonly string[];
  readonly faults?: SandboxOptions['faults'];
  readonly env?: Readonly<Record<string, string>>;
  readonly wrapGateway?: (gateway: GatewayClient) => GatewayClient;
}

/** Opens a harness on a database of the test's own. */
export async function openTokenHarness(
  place: { readonly db: Db; readonly door: TransitionDoor; readonly databaseUrl: string },
  { appKeys = ['app-1'], faults, env, wrapGateway }: TokenHarnessOptions = {},
): Promise<TokenHarness> {
  const { db, door, databaseUrl } = place;
  const sandbox = await startSandbox({
    opcardApps: appKeys.map((appKey) => ({ appKey, appSecret })),
    ...(faults === undefined ? {} : { faults }),
  });
  const settings = {
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
    OAUTH_CALLS_PER_SECOND_MAX: '1000',
    ...env,
  };
  const config = loadConfig(settings);
  const limited = { ...config.gateway, oauthLimiter: createOauthLimiter(db, config) };
  const plain = createGatewayClient(limited);
  const impatientGateway = createGatewayClient({ ...limited, timeoutMs: 150 });
  const gateway = wrapGateway?.(plain) ?? plain;
  const logs: string[] = [];
  const keyring = createKeyring(config.encryptionKeys);
  const dependencies: JobDependencies = {
    db,
    door,
    keyring,
    accounts: createAccounts(db, keyring, 0),
    settings: config.jobs,
    gateway,
    webhooks: undefined,
    logger: createLogger({ level: 'info', destination: { write: (line) => logs.push(line) } }),
    workerId: 'harness',
    random: () => 0.5,
    coalescedQueries: createCoalescedQueries(),
    enqueue: async () => await Promise.resolve(),
  };
  const findRow: TokenHarness['findRow'] = async (name) => {
    const credential = await findCredential(db, name, 'opcard');
    return credential && (await findAccessToken(db, credential.id));
  };
  const row: TokenHarness['row'] = async (name) => {
    const found = await findRow(name);
    if (found === undefined) throw new Error(`no access token is kept for ${name}`);
    return found;
  };
  const change = async (name: string, text: string): Promise<void> => {
    const { id } = await row(name);
    await sql`update access_token set ${sql.raw(text)} where id = ${id}`.execute(db);
  };
  return {
    sandbox,
    gateway,
    impatientGateway,
    dependencies,
    env: settings,
    logs,
    row,
    findRow,
    async add(name, appKey, { diesBefore, environment = 'sandbox' } = {}) {
      const secrets = { appKey, appSecret };
      await storeCredential(
        { ...dependencies, door: dyingDoor(door, diesBefore) },
        { name, environment, family: 'opcard', secrets },
        testActor,
      );
    },
    async remove(name, { diesBefore } = {}) {
      await removeCredential(
        { ...dependencies, door: dyingDoor(door, diesBefore) },
        { name, family: 'opcard' },
        testActor,
      );
    },
    async renew(name, { generation, as } = {}) {
      const payload = { credential: name, ...(generation !== undefined && { generation }) };
      return wordOf(await runJob('access-token.refresh', payload, { ...dependencies, ...as }));
    },
    async accessToken(name) {
      const { id, access_token_sealed: sealed } = await row(name);
      if (sealed === null) return undefined;
      return dependencies.keyring.open(tokenPlace('access_token_sealed', id), sealed).reveal();
    },
    async refreshToken(name) {
      const { id, refresh_token_sealed: sealed } = await row(name);
      return keyring.open(tokenPlace('refresh_token_sealed', id), sealed ?? '').reveal();
    },
    isGood: async (accessToken) => await probe(sandbox, accessToken),
    makeDue: async (name) =>
      await change(
        name,
        `due_at = now() - interval '1 s', lease_until = lease_until - interval '1 d'`,
      ),
    expire: async (name) =>
      await change(name, `expires_at = now() - interval '1 s', issued_at = now() - interval '1 h'`),
    async pass(name, ms) {
      const { id } = await row(name);
      const earlier = sql`${ms} * interval '1 millisecond'`;
      await sql`update access_token set issued_at = issued_at - ${earlier}, expires_at = expires_at - ${earlier},
        due_at = due_at - ${earlier}, attempt_started_at = attempt_started_at - ${earlier}, lease_until = lease_until - ${earlier},
        renewing_since = renewing_since - ${earlier}
        where id = ${id}`.execute(db);
    },
    async events(name) {
      const { id } = await row(name);
      const rows = await db
        .selectFrom('audit_event')
        .select('event')
        .where('entity_id', '=', id)
        .orderBy('version')
        .execute();
      return rows.map(({ event }) => event.replace('access_token.', ''));
    },
    async close() {
      await gateway.close();
      await impatientGateway.close();
      await sandbox.close();
    },
  };
}

/** The door of a process that is killed before it commits `event`. */
export function dyingDoor(door: TransitionDoor, event: string | undefined): TransitionDoor {
  return {
    ...door,
    async apply(request) {
      if (request.event === event) throw new Error('killed');
      return await door.apply(request);
    },
  };
}

/** Stores an application whose first token, generation 1, has to be renewed. */
export async function holdDueToken(
  harness: TokenHarness,
  credential: string,
  appKey: string,
): Promise<void> {
  await harness.add(credential, appKey);
  expect(await harness.renew(credential)).toBe('issued');
  await harness.makeDue(credential);
}

/** Whether the sandbox takes an access token on a protected call. */
export async function probe({ url }: Pick<Sandbox, 'url'>, accessToken: string): Promise<boolean> {
  const response = await fetch(`${url}/card-api/v1/probe`, {
    method: 'POST',
    headers: { authorization: accessToken },
  });
  await response.arrayBuffer();
  return response.ok;
}

/** Opens the test's harness. */
export type OpenTokenHarness = (options?: TokenHarnessOptions) => Promise<TokenHarness>;

/** Tests with harnesses. When one ends, the audit trail of its database must have no break. */
export const test = base.extend(
  'openTokenHarness',
  async ({ database, door, databaseUrl }, { onCleanup }): Promise<OpenTokenHarness> => {
    const harnesses: TokenHarness[] = [];
    onCleanup(async () => {
      for (const harness of harnesses) await harness.close();
      expect(await findAuditBreaks(database.db)).toEqual([]);
    });
    return async (options = {}) => {
      const harness = await openTokenHarness({ db: database.db, door, databaseUrl }, options);
      harnesses.push(harness);
      return harness;
    };
  },
);
