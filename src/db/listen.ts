import { setTimeout } from 'node:timers/promises';
import pg from 'pg';

/** A connection that hears notifications. */
export interface Listener {
  /** Whether everything that is notified now is sure to be heard. */
  readonly isLive: () => boolean;
  readonly close: () => Promise<void>;
}

/** What to listen to. */
export interface ListenOptions {
  readonly url: string;
  /** The channel; a plain identifier. */
  readonly channel: string;
  readonly onNotification: (payload: string) => void;
  /** Called whenever listening has begun: what was notified before that may have been missed. */
  readonly onLive: () => void;
  readonly onConnectionError?: (error: Error) => void;
}

const heartbeatMs = 5_000;
const goodbyeMs = 500;
const reconnectMsMin = 100;
const reconnectMsMax = 5_000;

/**
 * Listens to a channel for as long as the process lives, on a connection of its own, and connects anew when that breaks. A connection that
 * died in silence is found by a heartbeat. Notifications are hints: whoever uses them must be right without them.
 */
export function listenTo(options: ListenOptions): Listener {
  let client: pg.Client | undefined;
  let isLive = false;
  let isClosing = false;
  let reconnectMs = reconnectMsMin;
  let timer: NodeJS.Timeout | undefined;
  let connecting: Promise<void> = Promise.resolve();

  function later(ms: number, step: () => Promise<void>): void {
    clearTimeout(timer);
    if (isClosing) return;
    timer = globalThis.setTimeout(() => {
      connecting = step();
    }, ms);
    timer.unref();
  }

  async function connect(): Promise<void> {
    const next = new pg.Client({
      connectionString: options.url,
      connectionTimeoutMillis: heartbeatMs,
      query_timeout: heartbeatMs,
      keepAlive: true,
      application_name: 'token-lifecycle-listen',
    });
    next.on('error', (error) => {
      options.onConnectionError?.(error);
      void drop(next);
    });
    next.on('end', () => void drop(next));
    next.on('notification', ({ payload }) => options.onNotification(payload ?? ''));
    client = next;
    try {
      await next.connect();
      await next.query(`listen ${pg.escapeIdentifier(options.channel)}`);
      reconnectMs = reconnectMsMin;
      isLive = true;
      options.onLive();
      later(heartbeatMs, async () => await beat(next));
    } catch {
      await drop(next);
    }
  }

  async function beat(beating: pg.Client): Promise<void> {
    try {
      await beating.query('select 1');
      later(heartbeatMs, async () => await beat(beating));
    } catch {
      await drop(beating);
    }
  }

  async function drop(dropped: pg.Client): Promise<void> {
    if (client !== dropped) return;
    client = undefined;
    isLive = false;
    later(reconnectMs, connect);
    reconnectMs = Math.min(reconnectMsMax, reconnectMs * 2);
    await dropped.end().catch(() => undefined);
  }

  connecting = connect();
  return {
    isLive: () => isLive,
    async close() {
      isClosing = true;
      clearTimeout(timer);
      const last = client;
      client = undefined;
      isLive = false;
      // A connection that is only being made, or whose peer is gone, never says goodbye.
      const ended = Promise.all([last?.end().catch(() => undefined), connecting]);
      await Promise.race([ended, setTimeout(goodbyeMs)]);
    },
  };
}
