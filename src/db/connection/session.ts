/** What a connection of the worker needs. Times are in milliseconds; 0 is no limit. */
export interface SessionOptions {
  /** The schema of tables that statements name without one. */
  readonly schema?: string;
  /** The role that statements run as; undefined: that of the login. */
  readonly role?: string | undefined;
  readonly statementTimeoutMs: number;
  /** How long a statement may wait for a lock; default no limit. */
  readonly lockTimeoutMs?: number;
  readonly idleInTransactionTimeoutMs: number;
}

/**
 * Settings that change how values read or how statements run. A server, a database or a role may
 * preset each of them, so the worker sets them all.
 */
const fixedSettings: Readonly<Record<string, string>> = {
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  exit_on_error: 'off',
};

/** Settings that take effect with the next transaction, so they are of no use inside one. */
const defaultsOfSession: Readonly<Record<string, string>> = {
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  idle_session_timeout: '0',
};

/**
 * One statement with all settings, for the whole session or for the transaction that it runs in.
 * They don't travel as startup options, because poolers refuse or ignore those.
 */
export function settingsStatement(
  options: SessionOptions,
  scope: 'session' | 'transaction',
): string {
  const settings: Readonly<Record<string, string>> = {
    ...fixedSettings,
    ...(scope === 'session' && defaultsOfSession),
    statement_timeout: String(options.statementTimeoutMs),
    lock_timeout: String(options.lockTimeoutMs ?? 0),
    idle_in_transaction_session_timeout: String(options.idleInTransactionTimeoutMs),
    ...(options.schema !== undefined && { search_path: options.schema }),
    ...(options.role !== undefined && { role: options.role }),
  };
  const isLocal = scope === 'transaction';
  const calls = Object.entries(settings).map(
    ([name, value]) => `set_config('${name}', '${value}', ${isLocal})`,
  );
  // PostgreSQL has this one since version 17.
  calls.push(
    `case when current_setting('server_version_num')::integer >= 170000
      then set_config('transaction_timeout', '0', ${isLocal}) end`,
  );
  // A commit that is answered before it is on disk would be an acknowledgement that a crash undoes.
  calls.push(
    `case when current_setting('synchronous_commit') in ('off', 'local')
      then set_config('synchronous_commit', 'on', ${isLocal}) end`,
  );
  return `select ${calls.join(', ')}`;
}

/**
 * Asks for what the worker can't set: a standby and a session in replica mode, whose triggers don't
 * fire, stay what they are. A pooler keeps the isolation level that its login has.
 */
export const assertionStatement = `select current_setting('transaction_read_only') as read_only,
  current_setting('session_replication_role') as replication_role,
  current_setting('default_transaction_isolation') as isolation`;

/** The answer to `assertionStatement`. */
export interface SessionFacts {
  readonly read_only: string;
  readonly replication_role: string;
  readonly isolation: string;
}
