import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { isOwnServerProcess } from './server.ts';

/** A subscription to a notification channel. */
export interface Subscription {
  /** Whether the connection is up, so that a notification sent now arrives. */
  readonly isLive: () => boolean;
  readonly close: () => Promise<void>;
}

/** The options of a subscription. Times are in milliseconds. */
export interface SubscriptionOptions {
  /** Leads to the server without a pooler: a subscription to a pooler never becomes live. */
  readonly url: string;
  /** The channel, which is also the connection's application_name. */
  readonly channel: string;
  readonly onNotification: (payload: string) => void;
  /** Called after each (re)connect: notifications sent before it may be lost. */
  readonly onLive: () => void;
  /** Called when the connection breaks or can't be made. The subscription keeps trying. */
  readonly onFault: (error: unknown) => void;
  /** The interval between two checks that the server still answers; default 5,000. */
  readonly heartbeatMs?: number;
  /** The longest time that the server may take to answer; default 5,000. */
  readonly answerWithinMs?: number;
}

const retryMinMs = 100;
const retryMaxMs = 5_000;
const heartbeatMsDefault = 5_000;
const answerWithinMsDefault = 5_000;
const disconnectMsMax = 500;

/**
 * Subscribes to a channel on a dedicated connection and reconnects when it breaks. The subscriber
 * must work without notifications too.
 */
export function listenTo(options: SubscriptionOptions): Subscription {
  const closing = new AbortController();
  const state = { isLive: false };
  const running = (async () => {
    let retryMs = retryMinMs;
    while (!closing.signal.aborted) {
      const startedAt = performance.now();
      try {
        await listenOnce(options, state, closing.signal);
      } catch (error) {
        if (!closing.signal.aborted) options.onFault(error);
      }
      // After a connection that lasted, the next retry is quick again.
      if (performance.now() - startedAt > retryMaxMs) retryMs = retryMinMs;
      await pause(retryMs, closing.signal);
      retryMs = Math.min(retryMs * 2, retryMaxMs);
    }
  })();
  return {
    isLive: () => state.isLive,
    async close() {
      closing.abort();
      // pg can't abort a connection attempt, so the wait for it has a limit.
      await Promise.race([running, setTimeout(2 * disconnectMsMax)]);
    },
  };
}

/** Runs one connection. Resolves when `signal` aborts, and throws when the connection breaks. */
async function listenOnce(
  {
    url,
    channel,
    onNotification,
    onLive,
    heartbeatMs = heartbeatMsDefault,
    answerWithinMs = answerWithinMsDefault,
  }: SubscriptionOptions,
  state: { isLive: boolean },
  signal: AbortSignal,
): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: answerWithinMs,
    query_timeout: answerWithinMs,
    keepAlive: true,
    application_name: channel,
  });
  const broken = new Promise<never>((_, reject) => {
    const onBreak = (error: Error): void => {
      state.isLive = false;
      reject(error);
    };
    client.on('error', onBreak);
    client.on('end', () => onBreak(new Error('the connection ended')));
  });
  // The connection may break when no code awaits this promise.
  broken.catch(() => undefined);
  client.on('notification', ({ payload }) => {
    if (!signal.aborted) onNotification(payload ?? '');
  });
  try {
    await client.connect();
    await assertNoPooler(client);
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    if (signal.aborted) return;
    state.isLive = true;
    onLive();
    while (!signal.aborted) {
      await Promise.race([broken, pause(heartbeatMs, signal)]);
      // A server that vanished without closing the connection is found only by a query.
      if (!signal.aborted) await client.query('select 1');
    }
  } finally {
    state.isLive = false;
    // A server that is gone never confirms the end of the connection.
    await Promise.race([client.end().catch(() => undefined), setTimeout(disconnectMsMax)]);
  }
}

/**
 * Refuses a pooler: in transaction mode the LISTEN stays with a connection that serves other
 * clients next, so the subscriber would trust notifications that never come.
 */
async function assertNoPooler(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  if (isOwnServerProcess(client, rows[0]?.pid ?? 0)) return;
  throw new AppError(
    'config_invalid',
    'LISTEN_DATABASE_URL: set it to the URL of the server without a pooler; LISTEN does not last behind one.',
  );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined);
}
