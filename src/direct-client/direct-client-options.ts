/**
 * Where the worker's database is, and what of the worker's configuration its clients share. Times
 * in milliseconds.
 */
export interface DirectClientOptions {
  /** The worker's `DATABASE_URL`, or another login that may take the role `token_lifecycle_app`. */
  readonly databaseUrl: string;
  /** The worker's `ENCRYPTION_KEYS`. */
  readonly encryptionKeys: string;
  /**
   * Whose calls these are in the audit trail: as the name of an API key, and another one than any
   * of those.
   */
  readonly name: string;
  /** The worker's `CALLBACK_PUBLIC_URL`, for requests that name no addresses of their own. */
  readonly callbackPublicUrl?: string | undefined;
  /** The worker's `RETURN_URL_HOSTS`; default none. */
  readonly returnUrlHosts?: readonly string[];
  /** The worker's `ACCESS_TOKEN_TTL_MS`, where it is not the default. */
  readonly accessTokenTtlMs?: number;
  /** Connections at most, besides one that listens once an access token was read; default 4. */
  readonly poolSizeMax?: number;
  /**
   * Told of what the errors of calls keep to themselves: their causes, connections that broke,
   * which the client opens again, and, as an `UnrecordedReadsError`, reads of access tokens that
   * could not be recorded. A fault may quote what was sent.
   */
  readonly onFault?: (fault: unknown) => void;
}
