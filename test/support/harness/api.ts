import { createAccounts } from '../../../src/account/accounts.ts';
import { loadConfig } from '../../../src/config/config.ts';
import type { Db } from '../../../src/db/connection/database.ts';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import { type ApiScope, apiScopes } from '../../../src/domain/api-key.ts';
import { summarizeHealth } from '../../../src/domain/health.ts';
import { createPrivateServer } from '../../../src/http/private-server.ts';
import type { OperationDependencies } from '../../../src/execution/dependencies.ts';
import { addApiKey } from '../../../src/http/api/store-api-key.ts';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { apiKeyDigest, generateApiKey } from '../../../src/security/api-key.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { storeDefaultCredential, testActor } from '../builders.ts';

/** A received answer of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body, for assertions. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/** Sends a request to the API, with the caller's key, another `key`, or none (null). */
export type Call = (
  method: 'GET' | 'POST',
  path: string,
  options?: {
    readonly key?: string | null;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
  },
) => Promise<Answer>;

/** A caller of an API with this key. */
export function callerOf(url: string, ownKey: string): Call {
  return async (method, path, { key = ownKey, body, headers = {} } = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    };
  };
}

/** A new key, and its entry for `API_KEYS`. */
export function makeKey(name: string): { readonly key: string; readonly entry: string } {
  const key = generateApiKey().reveal();
  return { key, entry: `${name}:${apiKeyDigest(key)}` };
}

/** An API without a worker. */
export interface TestApi {
  readonly url: string;
  readonly call: Call;
  readonly logs: readonly string[];
  readonly operations: OperationDependencies;
  /** Adds a stored key and returns it. */
  readonly addKey: (name: string, scopes?: readonly ApiScope[]) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** The same key for all APIs of a file, since they share a database. */
const encryptionKey = `k1:${generateEncryptionKey('k1').key.reveal()}`;

/**
 * Starts an API with one key of all scopes in its environment, and with `env`. With `isSubscribed`
 * its token reader trusts its cache, although it gets no notifications.
 */
export async function startTestApi(
  place: { readonly db: Db; readonly door: TransitionDoor },
  env: Readonly<Record<string, string>> = {},
  { isSubscribed = false }: { readonly isSubscribed?: boolean } = {},
): Promise<TestApi> {
  const { key, entry } = makeKey('main');
  const config = loadConfig({
    DATABASE_URL: 'postgres://127.0.0.1/unused',
    ENCRYPTION_KEYS: encryptionKey,
    API_KEYS: entry,
    OPS_PORT: '0',
    CALLBACK_PUBLIC_URL: 'https://pay.example',
    RETURN_URL_HOSTS: 'shop.example',
    ...env,
  });
  const keyring = createKeyring(config.encryptionKeys);
  const operations: OperationDependencies = {
    ...place,
    keyring,
    accounts: createAccounts(place.db, keyring, 0),
    settings: config.jobs,
  };
  await storeDefaultCredential(operations);
  const logs: string[] = [];
  const server = createPrivateServer(config.privateHttp, {
    readiness: async () => summarizeHealth([], []),
    renderMetrics: async () => ({ contentType: 'text/plain', body: '' }),
    boardQueues: [],
    operations,
    accessTokens: createAccessTokenReader({
      ...operations,
      isSubscribed: () => isSubscribed,
      waitMsMax: 0,
    }),
    observeApiRequest: () => undefined,
    logger: createLogger({ level: 'debug', destination: { write: (line) => logs.push(line) } }),
  });
  const { url } = await server.listen();
  return {
    url,
    call: callerOf(url, key),
    logs,
    operations,
    addKey: async (name, scopes = apiScopes) =>
      (await addApiKey(operations, { name, scopes }, testActor)).reveal(),
    close: server.close,
  };
}
