import { createCache, type Loaded, notStored } from '../cache/cache.ts';
import type { CallbackTarget } from '../domain/callback-url.ts';
import type { Channel } from '../domain/callback.ts';
import type { Logger } from '../observability/logger.ts';

/** What the listener needs for messages that it can't store. */
export interface UnstorablePorts {
  /**
   * Has the gateway queried about the request with this address. Undefined for an unknown address;
   * `fault` says why there will be no query.
   */
  readonly receiveUnstorable: (target: {
    readonly channel: Channel;
    readonly address: string;
  }) => Promise<{ readonly returnUrl: string | undefined; readonly fault?: unknown } | undefined>;
  readonly logger: Logger;
}

/** Handles a message that can't be stored; returns the return URL of its customer, if known. */
export type ReceiveUnstorable = (target: CallbackTarget | undefined) => Promise<string | undefined>;

/** A sender that knows an address may repeat such messages, and no rate limit counts them. */
const coalesceMs = 1_000;

/**
 * Has the gateway queried about messages to per-request URLs that can't be stored. Those to one URL
 * within a second share one answer. Never throws.
 */
export function createReceiveUnstorable({
  receiveUnstorable,
  logger,
}: UnstorablePorts): ReceiveUnstorable {
  const answers = createCache<string | undefined>();
  return async (target) => {
    if (target?.address === undefined) return undefined;
    const { channel, address } = target;
    const load = async (): Promise<Loaded<string | undefined>> => {
      const received = await receiveUnstorable({ channel, address });
      if (received === undefined) return notStored(undefined);
      const { returnUrl, fault } = received;
      if (fault !== undefined) {
        logger.error({ channel, error: fault }, 'the gateway is not queried about a message');
      }
      return {
        value: returnUrl,
        refreshAfterMs: coalesceMs,
        maxStaleMs: coalesceMs,
        maxStaleOnErrorMs: coalesceMs,
      };
    };
    try {
      return (await answers.get(`${channel} ${address}`, load)).value;
    } catch (error) {
      logger.error({ channel, error }, 'the request of a per-request URL was not found');
      return undefined;
    }
  };
}
