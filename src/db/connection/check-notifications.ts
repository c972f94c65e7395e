import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { listenTo } from './listen.ts';
import { withTimeout } from './with-timeout.ts';

const arrivesWithinMs = 5_000;

/**
 * Sends a notification through `db` and waits for it on a subscription to `listenUrl`. Throws the
 * fault of the subscription, or an error that no notification came.
 */
export async function checkNotifications(listenUrl: string, db: Db): Promise<void> {
  const channel = `token_lifecycle_check_${randomUUID().slice(0, 8)}`;
  const arrived = Promise.withResolvers<void>();
  const subscription = listenTo({
    url: listenUrl,
    channel,
    onNotification: () => arrived.resolve(),
    onLive: () => {
      sql`select pg_notify(${channel}, '')`.execute(db).catch(arrived.reject);
    },
    onFault: arrived.reject,
  });
  try {
    await withTimeout(arrived.promise, arrivesWithinMs, () => new Error('no notification came'));
  } finally {
    await subscription.close();
  }
}
