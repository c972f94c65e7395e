import type { Config } from '../config/config.ts';
import { listAuditPartitions } from '../db/audit.ts';
import { checkNotifications } from '../db/check-notifications.ts';
import {
  applicationRole,
  type Database,
  findCurrentRole,
  proveDatabaseWrite,
} from '../db/database.ts';
import { AppError } from '../domain/errors.ts';
import { storeFaultWord } from '../domain/store-fault.ts';
import { openQueueBackend } from '../queues/backend.ts';

/** Reports one finding of `doctor`. */
export type Say = (isGood: boolean, sentence: string) => void;

/** Reports what the worker's own connections to PostgreSQL find. */
export async function checkDatabase(
  config: Config,
  url: string,
  database: Database,
  say: Say,
): Promise<void> {
  await proveDatabaseWrite(database.db);
  const role = await findCurrentRole(database.db);
  const pooler = database.isPooled ? ' through a pooler' : '';
  say(true, `the database answers${pooler}, takes writes, and its schema is there`);
  say(
    role === applicationRole,
    role === applicationRole
      ? `the worker runs as ${applicationRole}, which cannot change audit rows`
      : `the worker runs as its login, so only triggers guard the audit table: as an administrator, grant ${applicationRole} to ${userOf(url)}`,
  );
  await sayNotifications(config.database.listenUrl ?? url, database, say);
  const ahead = (await listAuditPartitions(database.db)).length - 1;
  say(ahead >= 1, `the audit table has partitions for ${ahead} months ahead`);
}

async function sayNotifications(listenUrl: string, { db }: Database, say: Say): Promise<void> {
  try {
    await checkNotifications(listenUrl, db);
    say(true, 'notifications of PostgreSQL arrive');
  } catch (error) {
    const reason = storeFaultWord(error) ?? 'they did not arrive in time';
    say(
      false,
      error instanceof AppError
        ? error.message
        : `LISTEN_DATABASE_URL: correct it; notifications of PostgreSQL don't arrive (${reason})`,
    );
  }
}

/** The login, in the form of an SQL name. */
function userOf(url: string): string {
  const user = decodeURIComponent(new URL(url).username);
  if (user === '') return 'it';
  return /^[a-z_][a-z0-9_]*$/.test(user) ? user : `"${user.replaceAll('"', '""')}"`;
}

/** Opens the queues as the worker does, and reports whether they take a write. */
export async function checkQueues(
  { queue, database }: Config,
  url: string,
  say: Say,
): Promise<void> {
  const backend = await openQueueBackend(
    queue.backend === 'redis'
      ? { kind: 'redis', ...queue.redis, prefix: queue.prefix }
      : { kind: 'postgres', databaseUrl: database.listenUrl ?? url },
    () => undefined,
  );
  try {
    await backend.proveWrite();
    say(true, `the queues take writes (${backend.kind})`);
  } finally {
    await backend.close();
  }
}
