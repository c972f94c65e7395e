import { accountsKeptMs, createAccounts } from '../account/accounts.ts';
import { TokenClientError } from '../client/client-error.ts';
import { createClientOn, type TokenClient } from '../client/token-client.ts';
import { findLatestSealedSecrets } from '../db/credentials.ts';
import { type Database, openDatabase } from '../db/connection/database.ts';
import { createTransitionDoor } from '../db/transition-door.ts';
import { openSecrets } from '../account/open-account.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import { createKeyring } from '../security/keyring.ts';
import type { DirectClientOptions } from './direct-client-options.ts';
import { createDirectTransport } from './direct-transport.ts';
import { clientErrorOf } from './fault.ts';
import { parseOptions } from './parse-options.ts';

/** A client on the worker's database. It holds connections. */
export interface DirectTokenClient extends TokenClient {
  /**
   * Ends waiting calls with the code `closed`, waits for the others, and closes the connections.
   */
  readonly close: () => Promise<void>;
}

/**
 * Opens a client for backends inside the trust boundary, with the worker's database and encryption
 * keys instead of HTTP. Each call is the operation of the HTTP route, audited under `name`, without
 * scopes. A running worker does the jobs that follow.
 *
 * Throws `TokenClientError` with `config_invalid`, `database_unavailable` or
 * `database_schema_outdated`, and with `key_unknown` or `seal_broken` if the keys are not the
 * worker's.
 */
export async function openDirectTokenClient(
  options: DirectClientOptions,
): Promise<DirectTokenClient> {
  const { databaseUrl, encryptionKeys, name, poolSizeMax, onFault, settings, ...rest } =
    parseOptions(options);
  try {
    const keyring = createKeyring(encryptionKeys);
    const database = await openDatabase({
      url: databaseUrl,
      poolSizeMax,
      onConnectionError: onFault,
    });
    const door = createTransitionDoor(database.db);
    const accounts = createAccounts(database.db, keyring, accountsKeptMs);
    const dependencies = { db: database.db, door, keyring, accounts, settings };
    await closeOnFault(database, async () => await assertSameKeys(dependencies));
    const listenUrl = rest.listenDatabaseUrl ?? databaseUrl;
    const transport = createDirectTransport({ dependencies, listenUrl, name, onFault });
    return {
      ...createClientOn(transport),
      async close() {
        await transport.close();
        await door.close();
        await database.close();
      },
    };
  } catch (error) {
    onFault(error);
    throw isPrivilegeMissing(error) ? privilegeError() : clientErrorOf(error);
  }
}

/**
 * Whether PostgreSQL refused a statement because the login lacks a privilege. The schema exists by
 * then; a login without USAGE on it sees no table (42P01).
 */
function isPrivilegeMissing(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return error.code === '42501' || error.code === '42P01';
}

function privilegeError(): TokenClientError {
  return new TokenClientError(
    "This login may not use the worker's tables: grant token_lifecycle_app to it.",
    { code: 'config_invalid', paths: ['databaseUrl'], isRetryable: false },
  );
}

/**
 * Opens a secret that the worker sealed. With other keys the client would seal values that the
 * worker can't open.
 */
async function assertSameKeys({
  db,
  keyring,
}: Pick<BackendDependencies, 'db' | 'keyring'>): Promise<void> {
  const sealed = await findLatestSealedSecrets(db);
  if (sealed !== undefined) openSecrets(keyring, sealed);
}

async function closeOnFault(database: Database, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await database.close();
    throw error;
  }
}
