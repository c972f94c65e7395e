import { createAccounts } from '../account/accounts.ts';
import { loadConfig, type Config } from '../config/config.ts';
import { openDatabase } from '../db/connection/database.ts';
import { createTransitionDoor } from '../db/transition-door.ts';
import { AppError } from '../domain/errors.ts';
import { exitCodes } from '../domain/exit-codes.ts';
import { storeFaultCause } from '../domain/store-fault.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { createKeyring } from '../security/keyring.ts';

/**
 * Runs a command and turns its faults into one sentence and an exit code: 2 for a configuration to
 * correct, 1 for anything else. An unexpected fault keeps its stack trace.
 */
export async function runCommand(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    if (error instanceof AppError) {
      const paths = error.paths.length === 0 ? '' : ` (${error.paths.join(', ')})`;
      console.error(`${error.message}${paths}`);
    } else {
      console.error(describeFault(error));
    }
  }
}

/**
 * The text of an unexpected fault. The error itself is not printed: one of Redis has the arguments
 * of its command as a property, and so the source of scripts and the content of jobs.
 */
function describeFault(error: unknown): string {
  const cause = storeFaultCause(error);
  if (cause !== undefined) {
    return `PostgreSQL or Redis failed while the command ran (${cause}). Run "token-worker doctor" for the cause.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function exitCodeOf(error: unknown): number {
  const isConfiguration =
    error instanceof AppError &&
    (error.code === 'config_invalid' || error.code === 'queue_policy_invalid');
  return isConfiguration ? exitCodes.badConfiguration : exitCodes.fault;
}

/** The value of `DATABASE_URL`. Commands on existing data need one. */
export function databaseUrlOf(config: Config): string {
  if (config.database.url !== undefined) return config.database.url;
  throw new AppError(
    'config_invalid',
    'DATABASE_URL: name the database; this command works on an existing one.',
  );
}

/** What a command does with the database that `DATABASE_URL` names. */
type UseOperations = (operations: OperationDependencies, config: Config) => Promise<void>;

/** Runs a command on the database that `DATABASE_URL` names. */
export async function runOnDatabase(use: UseOperations): Promise<void> {
  await runCommand(async () => await withOperations(use));
}

/** A command may read a whole table, as `audit check` does; the operator can end it. */
const commandTimeoutMs = 3_600_000;

/** Opens the database, the transition door and the keyring of the environment, and closes them. */
export async function withOperations(use: UseOperations): Promise<void> {
  const config = loadConfig(process.env);
  const database = await openDatabase({
    url: databaseUrlOf(config),
    poolSizeMax: 4,
    statementTimeoutMs: commandTimeoutMs,
  });
  const door = createTransitionDoor(database.db, {
    isAnnouncing: config.webhook !== undefined,
  });
  try {
    const keyring = createKeyring(config.encryptionKeys);
    const accounts = createAccounts(database.db, keyring, 0);
    await use({ db: database.db, door, keyring, accounts, settings: config.jobs }, config);
  } finally {
    await door.close();
    await database.close();
  }
}
