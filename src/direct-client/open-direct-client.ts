import { TokenClientError } from '../client/client-error.ts';
import { createClientOn, type TokenClient } from '../client/token-client.ts';
import { findLatestSealedSecrets } from '../db/credentials.ts';
import { type Database, openDatabase } from '../db/database.ts';
import { createTransitionDoor } from '../db/transition-door.ts';
import { openSecrets } from '../account/open-account.ts';
import type { BackendDependencies } from '../execution/dependencies.ts';
import { createKeyring } from '../security/keyring.ts';
import type { DirectClientOptions } from './direct-client-options.ts';
import { createDirectTransport } from './direct-transport.ts';
import { clientErrorOf } from './fault.ts';
import { parseOptions } from './parse-options.ts';

/** A client on the worker's database, and the connections that it holds. */
export interface DirectTokenClient extends TokenClient {
  /** Lets calls that are under way finish, and those that wait go with the code `closed`; closes the connections. */
  readonly close: () => Promise<void>;
}

/**
 * Opens a client for backends inside the trust boundary: it needs the worker's database and keys, and no HTTP. Each call is the same operation as over
 * HTTP, audited under `name`; there are no scopes. Work that follows is done by a running worker.
 *
 * Throws `TokenClientError`: `config_invalid`, `database_unavailable`, `database_schema_outdated`, or `key_unknown` and
 * `seal_broken` when the keys are not those of the worker, whose requests it could then not open.
 */
export async function openDirectTokenClient(
  options: DirectClientOptions,
): Promise<DirectTokenClient> {
  const { databaseUrl, encryptionKeys, name, poolSizeMax, onFault, settings } =
    parseOptions(options);
  try {
    const keyring = createKeyring(encryptionKeys);
    const database = await openDatabase({
      url: databaseUrl,
      poolSizeMax,
      onConnectionError: onFault,
    });
    const door = createTransitionDoor(database.db);
    const dependencies = { db: database.db, door, keyring, settings };
    await closedOnFault(database, async () => await assertSameKeys(dependencies));
    const transport = createDirectTransport({ dependencies, databaseUrl, name, onFault });
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
    throw isForbidden(error) ? forbidden() : clientErrorOf(error);
  }
}

/** Whether PostgreSQL refused for want of a privilege. */
function isForbidden(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42501';
}

function forbidden(): TokenClientError {
  return new TokenClientError(
    "This login may not use the worker's tables: grant token_lifecycle_app to it.",
    { code: 'config_invalid', paths: ['databaseUrl'], isRetryable: false },
  );
}

/** What is sealed with a key that the worker does not have is lost to it, so nothing is before the keys were tried on what it sealed. */
async function assertSameKeys({
  db,
  keyring,
}: Pick<BackendDependencies, 'db' | 'keyring'>): Promise<void> {
  const sealed = await findLatestSealedSecrets(db);
  if (sealed !== undefined) openSecrets(keyring, sealed);
}

async function closedOnFault(database: Database, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await database.close();
    throw error;
  }
}
