import { createCache, type Loaded, notStored } from '../cache/cache.ts';
import type { AccessTokenView } from './answers.ts';
import { TokenClientError } from './client-error.ts';

/** Cached access tokens, by credential. */
export interface AccessTokenCache {
  /**
   * Returns the cached token until ten seconds before it expires. After that it asks the worker;
   * concurrent callers share one request. If the request fails, it returns the cached token until
   * that expires, unless the worker answers `credential_not_found`.
   */
  readonly get: (credential: string) => Promise<AccessTokenView>;
  /** Evicts this generation and older ones, also one that is being loaded. */
  readonly evict: (credential: string, generation: number) => void;
}

interface ValidToken {
  readonly token: AccessTokenView;
  /** On the cache's monotonic clock, which no time server moves. */
  readonly expiresAtMs: number;
}

/**
 * From this age on, and this often while that fails, a token is loaded again, so that a replaced
 * token is not served for long.
 */
const refreshAfterMs = 10_000;
/**
 * The same for a token that was reported and that the worker still returns: its renewal is under
 * way.
 */
const refreshReportedAfterMs = 1_000;
/**
 * How long before expiry a read waits for the reload: the call that uses the token has to reach the
 * gateway.
 */
const marginMs = 10_000;

/**
 * Creates the cache of one client. `request` asks the worker; `now` is a clock in milliseconds that
 * only goes forward.
 */
export function createAccessTokenCache(
  request: (credential: string) => Promise<AccessTokenView>,
  now: () => number = () => performance.now(),
): AccessTokenCache {
  const cache = createCache<ValidToken | TokenClientError>({ now });
  /** The latest generation that was reported, by credential. */
  const reported = new Map<string, number>();

  async function load(
    credential: string,
    startedAtMs: number,
  ): Promise<Loaded<ValidToken | TokenClientError>> {
    const answer = await request(credential).catch(notFoundOrThrow);
    if (answer instanceof TokenClientError) return notStored(answer);
    const value = newerOf(cache.peek(credential), {
      token: answer,
      // Counted from before the request: the answer may have been long on its way.
      expiresAtMs: startedAtMs + answer.secondsLeft * 1_000,
    });
    const isReported = value.token.generation <= (reported.get(credential) ?? 0);
    const leftMs = value.expiresAtMs - startedAtMs;
    return {
      value,
      refreshAfterMs: isReported ? refreshReportedAfterMs : refreshAfterMs,
      maxStaleMs: leftMs - marginMs,
      maxStaleOnErrorMs: leftMs,
    };
  }

  return {
    async get(credential) {
      const { value } = await cache.get(
        credential,
        async (startedAtMs) => await load(credential, startedAtMs),
      );
      if (value instanceof TokenClientError) throw value;
      const leftMs = Math.max(0, value.expiresAtMs - now());
      return { ...value.token, secondsLeft: Math.floor(leftMs / 1_000) };
    },
    evict(credential, generation) {
      reported.set(credential, Math.max(generation, reported.get(credential) ?? 0));
      const known = cache.peek(credential);
      if (known instanceof TokenClientError || (known?.token.generation ?? 0) <= generation) {
        cache.delete(credential);
      }
    },
  };
}

/** Returns `credential_not_found`, which is an answer of the worker, and throws any other fault. */
function notFoundOrThrow(error: unknown): TokenClientError {
  if (error instanceof TokenClientError && error.code === 'credential_not_found') return error;
  throw error;
}

/**
 * The token of the higher generation: another worker process may answer before it knows of a
 * renewal.
 */
function newerOf(
  known: ValidToken | TokenClientError | undefined,
  answered: ValidToken,
): ValidToken {
  if (known === undefined || known instanceof TokenClientError) return answered;
  return known.token.generation > answered.token.generation ? known : answered;
}
