import pg from 'pg';

/** What a callback of pg gets: an array where a text had several statements. */
type AnyResult = pg.QueryResult | pg.QueryResult[];
type Callback = (error: Error | undefined, result?: AnyResult) => void;

/**
 * A class of clients that work behind a pooler in transaction mode, where each transaction may run
 * on another server connection, so that nothing set for a session lasts.
 *
 * The settings travel with each transaction, in the same message: with its BEGIN, or, for a
 * statement outside a transaction, in front of it. PostgreSQL runs what arrives in one message as
 * one transaction, so that no round trip is added.
 */
export function poolerClient(settings: string): typeof pg.Client {
  return class PoolerClient extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      const send: (query: SettingQuery) => unknown = this.query.bind(this);
      const query = (
        config_: string | pg.QueryConfig,
        values?: unknown[],
        callback?: Callback,
      ): unknown => {
        const given = typeof config_ === 'string' ? { text: config_ } : config_;
        // A pooler may run the next statement on a connection that has no such prepared statement.
        const { name: _, ...unnamed } = given;
        const complete = { ...unnamed, values: values ?? given.values ?? [] };
        const run = (done: Callback): unknown =>
          send(new SettingQuery(this, settings, complete, done));
        if (callback !== undefined) return run(callback);
        return new Promise((resolve, reject) => {
          run((error, result) => (error === undefined ? resolve(result) : reject(error)));
        });
      };
      this.query = query as pg.Client['query'];
    }
  };
}

/** A query that brings the settings of its transaction. */
class SettingQuery extends pg.Query {
  /** Where the result of the settings is, among the results; undefined: nowhere. */
  #settingsAt: 'first' | 'last' | undefined;

  constructor(client: pg.Client, settings: string, config: pg.QueryConfig, done: Callback) {
    super(config, (error: Error | undefined, result?: unknown) => {
      // pg passes null for no error.
      if (error) return done(error);
      done(undefined, this.#withoutSettings(result as AnyResult));
    });
    const { text, values = [] } = config;
    const submit = this.submit.bind(this);
    this.submit = (connection) => {
      if (client.getTransactionStatus() !== 'I') return submit(connection);
      this.#settingsAt = /^\s*(?:begin|start\s+transaction)\b/i.test(text) ? 'last' : 'first';
      if (this.#settingsAt === 'last') return connection.query(`${text}; ${settings}`);
      if (values.length === 0) return connection.query(`${settings}; ${text}`);
      connection.stream.cork();
      try {
        sendUnsynced(connection, settings);
        return submit(connection);
      } finally {
        connection.stream.uncork();
      }
    };
  }

  #withoutSettings(result: AnyResult): AnyResult {
    if (this.#settingsAt === undefined || !Array.isArray(result)) return result;
    const own = this.#settingsAt === 'first' ? result.slice(1) : result.slice(0, -1);
    return own.length === 1 && own[0] !== undefined ? own[0] : own;
  }
}

/** Sends a statement without a Sync, so that the next one belongs to the same transaction. */
function sendUnsynced(connection: pg.Connection, text: string): void {
  connection.parse({ name: '', text, types: [] }, true);
  connection.bind({ values: [] }, true);
  connection.describe({ type: 'P', name: '' }, true);
  connection.execute({ portal: '' }, true);
}
