import { setTimeout } from 'node:timers/promises';
import pg from 'pg';

/** A connection that hears notifications. */
export interface Listener {
  /** Whether everything that is notified now is sure to be heard. */
  readonly isLive: () => boolean;
  readonly close: () => Promise<void>;
}

/** Where and what to listen to, and who is told. */
export interface ListenOptions {
  readonly url: string;
  /** The channel; the connection bears its name too. */
  readonly channel: string;
  readonly onNotification: (payload: string) => void;
  /** Called whenever listening begins (again): what was notified before that may have been missed. */
  readonly onLive: () => void;
  /** Called when the connection breaks or can't be had; it is tried again for ever. */
  readonly onFault: (error: unknown) => void;
  /** How often the server is asked whether it is still there, and how long it may take to answer anything; default 5,000 milliseconds each. */
  readonly heartbeatMs?: number;
  readonly answerWithinMs?: number;
}

const retryMinMs = 100;
const retryMaxMs = 5_000;
const heartbeatMsDefault = 5_000;
const answerWithinMsDefault = 5_000;
const goodbyeMs = 500;

/**
 * Listens on a connection of its own for as long as the process lives, and connects anew when that breaks. Notifications are hints: whoever uses
 * them must be right without them, as behind a pooler that does not carry any.
 */
export function listenTo(options: ListenOptions): Listener {
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
      // A connection that held for a while has earned a quick return.
      if (performance.now() - startedAt > retryMaxMs) retryMs = retryMinMs;
      await pause(retryMs, closing.signal);
      retryMs = Math.min(retryMs * 2, retryMaxMs);
    }
  })();
  return {
    isLive: () => state.isLive,
    async close() {
      closing.abort();
      // A connection that is only being made can't be hurried.
      await Promise.race([running, setTimeout(2 * goodbyeMs)]);
    },
  };
}

/** Listens until the connection breaks, which throws, or until it is told to stop. */
async function listenOnce(
  {
    url,
    channel,
    onNotification,
    onLive,
    heartbeatMs = heartbeatMsDefault,
    answerWithinMs = answerWithinMsDefault,
  }: ListenOptions,
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
  // It may break when nobody waits for it any more.
  broken.catch(() => undefined);
  client.on('notification', ({ payload }) => {
    if (!signal.aborted) onNotification(payload ?? '');
  });
  try {
    await client.connect();
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    if (signal.aborted) return;
    state.isLive = true;
    onLive();
    while (!signal.aborted) {
      await Promise.race([broken, pause(heartbeatMs, signal)]);
      // A peer that vanished without a word is found only by asking.
      if (!signal.aborted) await client.query('select 1');
    }
  } finally {
    state.isLive = false;
    // A peer that is gone never says goodbye.
    await Promise.race([client.end().catch(() => undefined), setTimeout(goodbyeMs)]);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined);
}
