import { createCache, type Loaded, notStored } from '../../cache/cache.ts';
import { findReadableAccessToken, type ReadableAccessToken } from '../../db/access-tokens.ts';
import { databaseUnavailable, isDatabaseOutage } from '../../db/connection/faults.ts';
import { listenTo } from '../../db/connection/listen.ts';
import { insertOutboxJobs } from '../../db/outbox.ts';
import { withTimeout } from '../../db/connection/with-timeout.ts';
import type { AccessTokenReadOutcome } from '../../domain/access-token.ts';
import type { AccessTokenView } from '../../domain/payload/api-shapes.ts';
import type { Actor } from '../../domain/audit-entry.ts';
import { AppError } from '../../domain/errors.ts';
import { jobId } from '../../domain/ids.ts';
import { refreshJob } from '../../domain/outbox-job.ts';
import type { OperationDependencies } from '../../execution/dependencies.ts';
import type { Keyring } from '../../security/keyring.ts';
import type { Secret } from '../../security/secret.ts';
import { tokenPlace } from '../row.ts';
import { type AccessTokenReadAuditOptions, createAccessTokenReadAudit } from './read-audit.ts';

/** A valid access token as a backend gets it. */
export interface AccessToken {
  readonly accessToken: Secret;
  readonly generation: number;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** Whole seconds until it must no longer be used, rounded down. */
  readonly secondsLeft: number;
}

/** An access token in the clear, as the API answers with it. */
export function accessTokenViewOf(token: AccessToken): AccessTokenView {
  return {
    accessToken: token.accessToken.reveal(),
    generation: token.generation,
    issuedAt: token.issuedAt.toISOString(),
    expiresAt: token.expiresAt.toISOString(),
    secondsLeft: token.secondsLeft,
  };
}

/** Reads access tokens. */
export interface AccessTokenReader {
  /**
   * The valid access token of a credential, immediately in every state of its renewal: from the
   * cache, else from PostgreSQL. A read waits for a renewal only when the token has expired,
   * together with all other reads of the credential. While PostgreSQL does not answer, the reader
   * returns a cached token until it expires. Throws `credential_not_found`, or
   * `access_token_unavailable`, after which the caller may retry.
   */
  readonly read: (credential: string, actor: Actor) => Promise<AccessToken>;
  /**
   * The gateway refused this generation (401) to a backend: the next read in this process queries
   * PostgreSQL for a newer one.
   */
  readonly invalidate: (credential: string, generation: number) => void;
  /** Writes the reads that are not in the read audit yet. */
  readonly close: () => Promise<void>;
}

/** What a reader works with. Times in milliseconds. */
export interface AccessTokenReaderOptions
  extends Pick<OperationDependencies, 'db' | 'keyring'>, AccessTokenReadAuditOptions {
  /**
   * Whether the process is subscribed to new tokens. Without it, each read queries PostgreSQL.
   */
  readonly isSubscribed: () => boolean;
  /** The reader calls it with the outcome of each read. */
  readonly onRead?: (outcome: AccessTokenReadOutcome) => void;
  /** Called when a renewal was enqueued: it wakes the relay before its next poll. */
  readonly onJobsWritten?: () => void;
  /** The longest wait for a renewal, default 5,000. */
  readonly waitMsMax?: number;
  /** A clock that only goes forward, by which cached tokens age and expire. */
  readonly now?: () => number;
}

/** A reader, and what its subscription tells it. */
export type SubscribedReader = AccessTokenReader & {
  /** The access token with this row id has changed. */
  readonly onChanged: (rowId: string) => void;
  /** Any access token may have changed while the subscription was down. */
  readonly onSubscribed: () => void;
};

/**
 * What PostgreSQL holds for a credential: no row, a row without a valid token, or a row with one.
 */
interface StoredToken {
  readonly row: ReadableAccessToken | undefined;
  readonly token: ValidToken | undefined;
}

interface ValidToken extends Omit<AccessToken, 'secondsLeft'> {
  readonly rowId: string;
  /** On the reader's monotonic clock: a wall clock that jumps keeps no expired token alive. */
  readonly validUntilMs: number;
}

/**
 * From this age on, a cached token is loaded again in the background, in case a notification was
 * lost.
 */
const refreshAfterMs = 10_000;
/** From this age on, a read waits for PostgreSQL. */
const maxStaleMs = 30_000;
/** How long a read with a valid cached token waits for PostgreSQL. */
const databaseTimeoutMs = 250;
/** How long a read waits for a renewal, or for PostgreSQL while nothing is cached. */
const waitMsMaxDefault = 5_000;
const pollMs = 250;

const outcomes = { cache: 'memory', load: 'database', stale: 'outage' } as const;

/** Creates a reader. */
export function createAccessTokenReader(options: AccessTokenReaderOptions): SubscribedReader {
  const { db, keyring, isSubscribed, waitMsMax = waitMsMaxDefault } = options;
  const { onRead = () => undefined, now = () => performance.now() } = options;
  const tokens = createCache<StoredToken>({ loadTimeoutMs: databaseTimeoutMs, now });
  /** Single flight without storage: all reads of an expired token share one wait for a renewal. */
  const renewals = createCache<ValidToken>();
  const audit = createAccessTokenReadAudit(options);

  const loaderOf = (credential: string) => async (startedAtMs: number) =>
    await loadToken(credential, startedAtMs);

  async function loadToken(credential: string, startedAtMs: number): Promise<Loaded<StoredToken>> {
    const query = findReadableAccessToken(db, credential);
    // The reader stops waiting after this time. The hung query keeps its pool connection, so the
    // next load uses another one.
    const row = await withTimeout(query, waitMsMaxDefault, databaseUnavailable);
    const token = row && openToken(row, startedAtMs, keyring);
    const maxStaleOnErrorMs = token === undefined ? 0 : token.validUntilMs - startedAtMs;
    return { value: { row, token }, refreshAfterMs, maxStaleMs, maxStaleOnErrorMs };
  }

  /** A token may expire while its query is under way. */
  const isValid = (token: ValidToken | undefined): token is ValidToken =>
    token !== undefined && token.validUntilMs > now();

  async function find(credential: string): Promise<[ValidToken, AccessTokenReadOutcome]> {
    const startedAtMs = performance.now();
    const { value, source } = await tokens.get(credential, loaderOf(credential), {
      mustLoad: !isSubscribed(),
    });
    if (isValid(value.token)) return [value.token, outcomes[source]];
    const renewal = renewals.get(credential, async () =>
      notStored(await waitForRenewal(credential)),
    );
    const leftMs = startedAtMs + waitMsMax + pollMs - performance.now();
    return [(await withTimeout(renewal, leftMs, unavailable)).value, 'waited'];
  }

  async function waitForRenewal(credential: string): Promise<ValidToken> {
    const deadlineMs = performance.now() + waitMsMax;
    for (let isEnqueued = false; ;) {
      const { row, token } = (await tokens.get(credential, loaderOf(credential))).value;
      if (isValid(token)) return token;
      if (row === undefined) throw notFound();
      const leftMs = deadlineMs - performance.now();
      // No attempt begins before the wait is over, so the read fails now.
      if (leftMs <= 0 || row.nextAttemptInMs > leftMs) throw unavailable();
      if (!isEnqueued && row.nextAttemptInMs <= 0) {
        await enqueueRenewal(row, credential);
        isEnqueued = true;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, pollMs)));
    }
  }

  async function enqueueRenewal(row: ReadableAccessToken, credential: string): Promise<void> {
    const { id, version, generation } = row;
    const job = refreshJob(id, version, credential, generation);
    // An id of its own: the scan's job may wait behind those of tokens that are still valid.
    await insertOutboxJobs(db, [{ ...job, jobId: jobId('urgent', id, version) }]);
    options.onJobsWritten?.();
  }

  return {
    async read(credential, actor) {
      const [found, outcome] = await find(credential).catch((error: unknown) => {
        onRead(outcomeOf(error));
        throw error;
      });
      onRead(outcome);
      const { rowId, validUntilMs, ...token } = found;
      audit.record({ accessTokenId: rowId, credential, generation: token.generation, actor });
      return { ...token, secondsLeft: Math.floor(Math.max(0, validUntilMs - now()) / 1_000) };
    },
    invalidate(credential, generation) {
      tokens.invalidate(
        ({ token }, key) => key === credential && (token?.generation ?? 0) <= generation,
      );
    },
    onChanged(rowId) {
      // Reload now. If PostgreSQL fails before the next read, the cache would serve the previous
      // token until it expires.
      for (const credential of tokens.invalidate(({ row }) => row?.id === rowId)) {
        tokens.reload(credential, loaderOf(credential)).catch(() => undefined);
      }
    },
    onSubscribed: () => void tokens.invalidate(() => true),
    close: audit.close,
  };
}

/**
 * The row's token if it is valid. The reader counts its remaining life from the start of the query,
 * so a slow network cannot make an expired token look valid.
 */
function openToken(
  row: ReadableAccessToken,
  startedAtMs: number,
  keyring: Keyring,
): ValidToken | undefined {
  const { id: rowId, generation, access_token_sealed: sealed, leftMs } = row;
  const { issued_at: issuedAt, expires_at: expiresAt } = row;
  if (sealed === null || issuedAt === null || expiresAt === null || leftMs <= 0) return undefined;
  const accessToken = keyring.open(tokenPlace('access_token_sealed', rowId), sealed);
  return {
    rowId,
    accessToken,
    generation,
    issuedAt,
    expiresAt,
    validUntilMs: startedAtMs + leftMs,
  };
}

function outcomeOf(error: unknown): AccessTokenReadOutcome {
  const code = error instanceof AppError ? error.code : undefined;
  if (code === 'credential_not_found') return 'not_found';
  if (isDatabaseOutage(error)) return 'no_database';
  return code === 'access_token_unavailable' ? 'unavailable' : 'fault';
}

function notFound(): AppError {
  return new AppError('credential_not_found', 'No active OPCard credential has this name.', {
    paths: ['credential'],
  });
}

function unavailable(): AppError {
  return new AppError(
    'access_token_unavailable',
    'There is no valid access token now; the worker keeps trying to renew it. Try again.',
  );
}

/** The channel that a trigger on `access_token` notifies of each new token. */
const channel = 'token_lifecycle_access_token';

/**
 * Opens a reader with a subscription to new tokens, on a connection of its own, which `close` ends.
 */
export function openSubscribedReader(
  options: Omit<AccessTokenReaderOptions, 'isSubscribed'> & {
    /** Leads to the server without a pooler. */
    readonly listenUrl: string;
    /** The reader calls it with each fault of the subscription, which it retries until `close`. */
    readonly onFault: (error: unknown) => void;
  },
): AccessTokenReader {
  const reader = createAccessTokenReader({ ...options, isSubscribed: () => listener.isLive() });
  const listener = listenTo({
    url: options.listenUrl,
    channel,
    onNotification: reader.onChanged,
    onLive: reader.onSubscribed,
    onFault: options.onFault,
  });
  return {
    read: reader.read,
    invalidate: reader.invalidate,
    async close() {
      await listener.close();
      await reader.close();
    },
  };
}
