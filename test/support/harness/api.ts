import { loadConfig } from '../../../src/config/config.ts';
import type { Db } from '../../../src/db/database.ts';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import { type ApiScope, apiScopes } from '../../../src/domain/api-key.ts';
import { createPrivateServer } from '../../../src/http/private-server.ts';
import { jobSettings } from '../../../src/job-settings.ts';
import type { OperationDependencies } from '../../../src/execution/dependencies.ts';
import { addApiKey } from '../../../src/http/api/store-api-key.ts';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { apiKeyDigest, generateApiKey } from '../../../src/security/api-key.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { testActor } from '../builders.ts';

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body, for assertions. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any;
}

/** A request to the API. The key is the caller's own unless another one, or none (null), is named. */
export type Call = (
  method: 'GET' | 'POST',
  path: string,
  options?: {
    readonly key?: string | null;
    readonly body?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
  },
) => Promise<Answer>;

/** Sends requests to an API with this key. */
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

/** A key as a backend holds it, and as `API_KEYS` names it. */
export function makeKey(name: string): { readonly key: string; readonly entry: string } {
  const key = generateApiKey().reveal();
  return { key, entry: `${name}:${apiKeyDigest(key)}` };
}

/** The API on a database of the test's own, without a worker behind it. */
export interface TestApi {
  readonly url: string;
  readonly call: Call;
  readonly logs: readonly string[];
  readonly operations: OperationDependencies;
  /** Adds a stored key. */
  readonly addKey: (name: string, scopes?: readonly ApiScope[]) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** One for all APIs of a file, since they may share a database. */
const encryptionKey = `k1:${generateEncryptionKey('k1').key.reveal()}`;

/** Starts it with one key of all scopes in its environment; `env` is added to that. With `isSubscribed` its reader uses its memory, although nothing notifies it. */
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
  const operations: OperationDependencies = {
    ...place,
    keyring: createKeyring(config.encryptionKeys),
    settings: jobSettings(config),
  };
  await storeCredential(
    operations,
    {
      name: 'default',
      environment: 'sandbox',
      family: 'accept_payments',
      account: '995149',
      terminal: '99514901',
      secrets: { secureCode: 'code' },
    },
    testActor,
  );
  const logs: string[] = [];
  const server = createPrivateServer(config.privateHttp, {
    readiness: async () => ({}),
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
