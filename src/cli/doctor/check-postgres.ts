import type { Config } from '../../config/config.ts';
import { checkNotifications } from '../../db/connection/check-notifications.ts';
import { applicationRole, type Database, findCurrentRole } from '../../db/connection/database.ts';
import { AppError } from '../../domain/errors.ts';
import { storeFaultCause } from '../../domain/store-fault.ts';
import { say } from './say.ts';

/** Reports what the worker's own connections to PostgreSQL find. */
export async function checkPostgres(
  config: Config,
  database: Database,
  url: string,
): Promise<void> {
  const role = await findCurrentRole(database.db);
  const pooler = database.isPooled ? ' through a pooler' : '';
  say(true, `the database answers${pooler}, and its schema is there`);
  say(
    role === applicationRole,
    role === applicationRole
      ? `the worker runs as ${applicationRole}, which cannot change audit rows`
      : `the worker runs as its login, so only triggers guard the audit table: as an administrator, grant ${applicationRole} to ${userOf(url)}`,
  );
  await sayNotifications(config.database.listenUrl ?? url, database);
}

async function sayNotifications(listenUrl: string, { db }: Database): Promise<void> {
  try {
    await checkNotifications(listenUrl, db);
    say(true, 'notifications of PostgreSQL arrive');
  } catch (error) {
    const reason = storeFaultCause(error) ?? 'they did not arrive in time';
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
