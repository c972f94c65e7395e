import { Socket } from 'node:net';
import pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { poolerClient } from './pooler-client.ts';
import { PreparingClient } from './prepared-statements.ts';
import {
  assertionStatement,
  type SessionFacts,
  type SessionOptions,
  settingsStatement,
} from './session.ts';
import { withTimeout } from './with-timeout.ts';

/** How to connect. Times are in milliseconds. */
export interface PoolOptions {
  readonly url: string;
  readonly applicationName: string;
  readonly poolSizeMax: number;
  readonly session: SessionOptions;
  /** Whether the URL leads to a pooler. */
  readonly isPooled: boolean;
  /** How old a connection may become; default half an hour. */
  readonly connectionAgeMsMax?: number;
  /** After this time without traffic a connection counts as broken; undefined: never. */
  readonly silenceMsMax?: number;
  readonly idleTimeoutMs?: number;
  /** Called when an idle connection breaks. The pool replaces it. */
  readonly onConnectionError?: (error: Error) => void;
}

const connectTimeoutMs = 5_000;

/**
 * An old connection may lead to a server that the address no longer names, and its process keeps
 * the memory of all it has ever done.
 */
const connectionAgeMsMaxDefault = 1_800_000;

/** The margin between the server's longest legal silence and the moment the socket is given up. */
const silenceGraceMs = 2_000;

/**
 * Creates a pool whose connections have the settings of the session, and lead to a server that
 * takes writes. If the server becomes read-only the pool replaces all of them, busy ones too.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const { session, isPooled, silenceMsMax } = options;
  const settings = settingsStatement(session, isPooled ? 'transaction' : 'session');
  // A client of a pooler brings the settings by itself.
  const greeting = isPooled ? assertionStatement : `${settings}; ${assertionStatement}`;
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.poolSizeMax,
    connectionTimeoutMillis: connectTimeoutMs,
    maxLifetimeSeconds: (options.connectionAgeMsMax ?? connectionAgeMsMaxDefault) / 1_000,
    ...(options.idleTimeoutMs !== undefined && { idleTimeoutMillis: options.idleTimeoutMs }),
    keepAlive: true,
    ...(silenceMsMax !== undefined && {
      stream: () => socketWithTimeout(silenceMsMax + silenceGraceMs),
    }),
    Client: isPooled ? poolerClient(settings) : PreparingClient,
    // pg awaits it, although its type does not say so.
    onConnect: (client): unknown => greet(client, greeting),
  });
  handlePoolErrors(pool, (error) => options.onConnectionError?.(error));
  replaceReadOnlyConnections(pool);
  return pool;
}

/** Sends the settings of the session, and refuses one that would not work. */
async function greet(client: pg.ClientBase, greeting: string): Promise<void> {
  const asked = client.query<SessionFacts>(greeting);
  const answer = await withTimeout(asked, connectTimeoutMs, connectTimeout);
  // Of several statements pg returns a list of results.
  const facts = [answer].flat().at(-1)?.rows[0];
  if (facts !== undefined) assertSession(facts);
}

const connectTimeout = (): Error =>
  Object.assign(new Error('PostgreSQL did not answer in time'), { code: 'ETIMEDOUT' });

/**
 * A socket that breaks after `silenceMsMax` without traffic. If the server hangs or the network
 * drops packets, no server timeout applies, and TCP would let callers wait for minutes. pg's
 * query_timeout is no help: it leaves the dead connection in the pool.
 */
function socketWithTimeout(silenceMsMax: number): Socket {
  const socket = new Socket();
  return socket.setTimeout(silenceMsMax, () => {
    const fault = new Error('PostgreSQL was silent for too long');
    socket.destroy(Object.assign(fault, { code: 'ETIMEDOUT' }));
  });
}

/**
 * Adds an error listener to a pool and to each of its connections. The pool reports errors of idle
 * connections only, and an error event without a listener ends the process.
 */
export function handlePoolErrors(pool: pg.Pool, onBreak: (error: Error) => void): void {
  pool.on('error', onBreak);
  pool.on('connect', (client) => client.on('error', () => undefined));
}

/** PostgreSQL's code for a statement that a read-only transaction refuses. */
const readOnlyState = '25006';

/** Refuses a session in which statements would fail or do something else. */
function assertSession({ read_only, replication_role, isolation }: SessionFacts): void {
  if (read_only !== 'off') {
    throw new AppError(
      'database_unavailable',
      'PostgreSQL takes no writes here (25006): it is a standby, or default_transaction_read_only is on.',
      { cause: readOnlyFault() },
    );
  }
  if (replication_role !== 'origin') {
    throw new AppError(
      'database_unavailable',
      'The login has a preset session_replication_role, so that triggers do not guard the tables: set it to origin.',
    );
  }
  if (isolation !== 'read committed') {
    throw new AppError(
      'database_unavailable',
      'The login has a preset default_transaction_isolation, which the worker cannot change behind a pooler: set it to "read committed".',
    );
  }
}

function readOnlyFault(): Error {
  return Object.assign(new Error('PostgreSQL is read-only'), { code: readOnlyState });
}

/**
 * Breaks every connection of a pool when the server says that it is read-only, as after a failover.
 * Connections that are always busy would stay with the demoted server.
 */
function replaceReadOnlyConnections(pool: pg.Pool): void {
  const clients = new Set<pg.Client>();
  const breakAll = (): void => {
    for (const { connection } of clients) connection.stream.destroy(readOnlyFault());
    clients.clear();
  };
  pool.on('connect', (client) => {
    if (!(client instanceof pg.Client)) return;
    clients.add(client);
    client.connection.on('errorMessage', ({ code }: { code?: string }) => {
      // The statement gets its own error first.
      if (code === readOnlyState) setImmediate(breakAll);
    });
  });
  pool.on('remove', (client) => {
    if (client instanceof pg.Client) clients.delete(client);
  });
}
