import { timingSafeEqual } from 'node:crypto';
import { createCache, type Loaded } from '../../cache/cache.ts';
import { databaseUnavailable } from '../../db/connection/faults.ts';
import { withTimeout } from '../../db/connection/with-timeout.ts';
import type { ApiScope } from '../../domain/api-key.ts';
import { apiKeyDigest } from '../../security/api-key.ts';

/** A valid key: which backend it names, and what it may do. */
export interface KnownKey {
  readonly name: string;
  readonly sha256: string;
  readonly scopes: readonly ApiScope[];
}

/** Finds the key of a request. */
export interface KeyLookup {
  /**
   * The key, if it is valid; with `isCachedOnly`, one that was added within the last seconds may be
   * missed. While the database does not answer, the keys that were last read stay valid for ten
   * minutes, and for any other key it throws the database's fault.
   */
  readonly find: (
    key: string,
    options?: { readonly isCachedOnly?: boolean },
  ) => Promise<KnownKey | undefined>;
  /** Whether there is any key at all. */
  readonly hasAny: () => Promise<boolean>;
}

/**
 * How old the cached keys may be: while the database answers, a revoked key is refused after this
 * at the latest.
 */
export const keysMaxStaleMs = 5_000;
/** The same while the database does not answer, so that backends can still read access tokens. */
export const keysMaxStaleOnErrorMs = 600_000;
/**
 * How long a request waits for the database while the stored keys are cached, and while they are
 * not.
 */
const databaseTimeoutMs = 250;
const firstReadTimeoutMs = 5_000;
/**
 * How long an unknown key waits before the stored keys are read again: unverified senders cause
 * four reads a second at most.
 */
const unknownKeyWaitMs = 250;

const cacheKey = 'stored keys';

/** A query for the stored keys; `isGivenUp` once it failed or took longer than its timeout. */
interface Reading {
  readonly keys: Promise<readonly KnownKey[]>;
  isGivenUp: boolean;
}

/**
 * Looks keys up among those in `API_KEYS` and the stored ones, which are read again every few
 * seconds, so that keys are added and revoked without a restart. A digest is compared in constant
 * time with every known one, so the time reveals neither a match nor its position.
 */
export function createKeyLookup(
  readStored: () => Promise<readonly KnownKey[]>,
  configured: readonly KnownKey[],
  now: () => number = () => performance.now(),
): KeyLookup {
  const cache = createCache<readonly KnownKey[]>({ loadTimeoutMs: databaseTimeoutMs, now });
  let rereading: Promise<readonly KnownKey[]> | undefined;
  let reading: Reading | undefined;

  /**
   * One read at a time. A read that took too long still holds its connection, so until it ends the
   * database counts as unavailable: no sender can take more than one connection.
   */
  async function load(): Promise<Loaded<readonly KnownKey[]>> {
    const own = (reading ??= startRead());
    if (own.isGivenUp) throw databaseUnavailable();
    try {
      return {
        value: await withTimeout(own.keys, firstReadTimeoutMs, databaseUnavailable),
        refreshAfterMs: keysMaxStaleMs,
        maxStaleMs: keysMaxStaleMs,
        maxStaleOnErrorMs: keysMaxStaleOnErrorMs,
      };
    } catch (error) {
      own.isGivenUp = true;
      throw error;
    }
  }

  function startRead(): Reading {
    const keys = readStored();
    const end = (): void => {
      reading = undefined;
    };
    keys.then(end, end);
    return { keys, isGivenUp: false };
  }

  async function untilNoneIsReading(): Promise<void> {
    while (reading !== undefined) await reading.keys.catch(() => undefined);
  }

  /** Reads the stored keys again after a pause; all requests that wait share one read. */
  async function reread(): Promise<readonly KnownKey[]> {
    rereading ??= (async () => {
      try {
        await new Promise((resolve) => setTimeout(resolve, unknownKeyWaitMs));
        await withTimeout(untilNoneIsReading(), firstReadTimeoutMs, databaseUnavailable);
      } finally {
        rereading = undefined;
      }
      return await cache.reload(cacheKey, load);
    })();
    return await rereading;
  }

  return {
    async find(key, { isCachedOnly = false } = {}) {
      const sha256 = apiKeyDigest(key);
      const found =
        findEqual(configured, sha256) ?? findEqual((await cache.get(cacheKey, load)).value, sha256);
      return found !== undefined || isCachedOnly ? found : findEqual(await reread(), sha256);
    },
    hasAny: async () => configured.length > 0 || (await cache.get(cacheKey, load)).value.length > 0,
  };
}

function findEqual(keys: readonly KnownKey[], sha256: string): KnownKey | undefined {
  const wanted = Buffer.from(sha256, 'hex');
  let found: KnownKey | undefined;
  for (const key of keys) {
    const isEqual = timingSafeEqual(Buffer.from(key.sha256, 'hex'), wanted);
    if (isEqual) found = key;
  }
  return found;
}
