import { setTimeout } from 'node:timers/promises';
import pg from 'pg';

/** Hears that some transaction has enqueued. */
export interface EnqueueListener {
  readonly close: () => Promise<void>;
}

/** Where to listen, and who is told. Times in milliseconds. */
export interface EnqueueListenerOptions {
  readonly url: string;
  /** Called at each notification, and whenever listening (again) begins: what was committed meanwhile was not heard. */
  readonly onWake: () => void;
  /** Called when the connection breaks or can't be had; it is tried again for ever. */
  readonly onFault: (error: unknown) => void;
  readonly retryMaxMs?: number;
}

/** The channel of `token_lifecycle.enqueue`. Its payload is always empty, so nothing can be learned from it. */
const channel = 'token_lifecycle_enqueue';
const retryMinMs = 100;
const retryMaxDefaultMs = 5_000;
const heartbeatMs = 15_000;
const answerWithinMs = 5_000;
const goodbyeMs = 1_000;

/**
 * Listens on a connection of its own and reconnects for ever. Nothing depends on it but speed: the relay polls as well, which is also all that is
 * left behind a pooler that does not carry notifications.
 */
export function listenForEnqueues(options: EnqueueListenerOptions): EnqueueListener {
  const retryMaxMs = options.retryMaxMs ?? retryMaxDefaultMs;
  const closing = new AbortController();
  const running = (async () => {
    let retryMs = retryMinMs;
    while (!closing.signal.aborted) {
      const startedAt = performance.now();
      try {
        await listenOnce(options, closing.signal);
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
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** Listens until the connection breaks, which throws, or until it is told to stop. */
async function listenOnce(options: EnqueueListenerOptions, signal: AbortSignal): Promise<void> {
  const client = new pg.Client({
    connectionString: options.url,
    connectionTimeoutMillis: answerWithinMs,
    query_timeout: answerWithinMs,
    keepAlive: true,
    application_name: 'token-lifecycle-listener',
  });
  const broken = new Promise<never>((_, reject) => {
    client.on('error', reject);
    client.on('end', () => reject(new Error('the connection ended')));
  });
  // It may break when nobody waits for it any more.
  broken.catch(() => undefined);
  client.on('notification', options.onWake);
  try {
    await client.connect();
    await client.query(`listen ${channel}`);
    options.onWake();
    while (!signal.aborted) {
      await Promise.race([broken, pause(heartbeatMs, signal)]);
      // A peer that vanished without a word is found only by asking.
      if (!signal.aborted) await client.query('select 1');
    }
  } finally {
    client.removeListener('notification', options.onWake);
    // A peer that is gone never says goodbye.
    await Promise.race([client.end().catch(() => undefined), setTimeout(goodbyeMs)]);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined);
}
