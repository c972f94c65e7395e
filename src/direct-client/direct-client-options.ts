/** The worker's database and the configuration that a direct client shares with the worker. */
export interface DirectClientOptions {
  /**
   * The worker's `DATABASE_URL`, or the URL of another login with the role `token_lifecycle_app`.
   */
  readonly databaseUrl: string;
  /**
   * The same database without a pooler, where `databaseUrl` leads to one such as PgBouncer. Without
   * it, each read of an access token then queries the database.
   */
  readonly listenDatabaseUrl?: string | undefined;
  /** The worker's `ENCRYPTION_KEYS`. */
  readonly encryptionKeys: string;
  /** The client's name in the audit trail. It has the form of an API key's name but equals none. */
  readonly name: string;
  /** The worker's `CALLBACK_PUBLIC_URL`, for requests that name no callback URLs. */
  readonly callbackPublicUrl?: string | undefined;
  /** The worker's `CALLBACK_ADDRESSES`; default `per-request`. */
  readonly callbackAddresses?: 'per-request' | 'shared' | undefined;
  /** The worker's `RETURN_URL_HOSTS`; default none. */
  readonly returnUrlHosts?: readonly string[];
  /** The worker's `ACCESS_TOKEN_TTL_MS`, if it is not the default. */
  readonly accessTokenTtlMs?: number;
  /** The most pooled connections; default 4. Reading access tokens adds one that listens. */
  readonly poolSizeMax?: number;
  /**
   * Called with what the errors of calls leave out: their causes, broken connections, which the
   * client replaces, and, as an `UnrecordedReadsError`, reads of access tokens that could not be
   * recorded. A fault may quote the request.
   */
  readonly onFault?: (fault: unknown) => void;
}
