import { listenTo } from '../db/connection/listen.ts';
import { type Relay, type RelayOptions, startRelay } from './relay.ts';

/**
 * Starts a relay that a commit with outbox rows wakes, in whichever process it happens. `listenUrl`
 * leads to the server without a pooler.
 */
export function startListeningRelay({
  listenUrl,
  ...options
}: RelayOptions & { readonly listenUrl: string }): Relay {
  const relay = startRelay(options);
  const listener = listenTo({
    url: listenUrl,
    channel: 'token_lifecycle_enqueue',
    onNotification: relay.nudge,
    onLive: relay.nudge,
    onFault: (error) =>
      options.logger.warn(
        { error },
        'LISTEN connection lost; until it is back, the relay finds enqueued jobs by polling',
      ),
  });
  return {
    nudge: relay.nudge,
    async close() {
      await Promise.all([listener.close(), relay.close()]);
    },
  };
}
