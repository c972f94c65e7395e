import { timingSafeEqual } from 'node:crypto';
import { databaseIsAway } from '../../db/faults.ts';
import type { ApiScope } from '../../domain/api-key.ts';
import { withTimeout } from '../../db/with-timeout.ts';
import { apiKeyDigest } from '../../security/api-key.ts';

/** A key that is in force: whom it names, and what it may do. */
export interface KnownKey {
  readonly name: string;
  readonly sha256: string;
  readonly scopes: readonly ApiScope[];
}

/** Finds the key that a request came with. */
export interface KeyLookup {
  /**
   * The key, if it is in force; with `isCachedOnly`, one that was added within the last seconds may be missed. While the stored
   * keys can't be read, those that were in force when they were last read go on for minutes; for any other key it throws what the
   * database says.
   */
  readonly find: (
    key: string,
    options?: { readonly isCachedOnly?: boolean },
  ) => Promise<KnownKey | undefined>;
  /** Whether there is any key at all. */
  readonly hasAny: () => Promise<boolean>;
}

/** How long a process may go on with the stored keys that it has read: a revoked key is refused after this at the latest. */
export const keysMaxAgeMs = 5_000;
/** The same while the database does not answer: a backend that reads a token then is not turned away. */
export const keysOutageMaxAgeMs = 600_000;
/** How long a request with a known key waits to hear of a revocation before the database counts as away. */
const patienceMs = 250;
/** A read that hangs longer is given up, so that the next one takes a connection that works. */
const answerMsMax = 5_000;
/** A key that is not among them may have been added since. Strangers can have them read this often, not more. */
const missSpacingMs = 250;

/**
 * Looks keys up among those of the environment and those that are stored. The stored ones are read again every few seconds, so that keys
 * are added and revoked without a restart. Each digest is compared in constant time with every known one: neither the
 * match nor its place shows in the time.
 */
export function createKeyLookup(
  readStored: () => Promise<readonly KnownKey[]>,
  configured: readonly KnownKey[],
  now: () => number = () => performance.now(),
): KeyLookup {
  let stored: readonly KnownKey[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  let startedAt = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | undefined;
  let queued: Promise<void> | undefined;
  let isAway = false;

  async function read(): Promise<void> {
    startedAt = now();
    // The age counts from before the query: a key that is revoked while it runs is not kept longer for it.
    const asOf = startedAt;
    try {
      stored = await withTimeout(readStored(), answerMsMax, databaseIsAway);
      readAt = asOf;
      isAway = false;
    } catch (error) {
      isAway = true;
      throw error;
    }
  }

  /** A read that begins from now on: all who ask before it begins share it, and two begin some way apart. */
  async function readAnew(): Promise<void> {
    queued ??= (async () => {
      await underWay?.catch(() => undefined);
      const pauseMs = startedAt + missSpacingMs - now();
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      queued = undefined;
      underWay = read().finally(() => {
        underWay = undefined;
      });
      await underWay;
    })();
    await queued;
  }

  /** Sees to it that what is stored was read lately, or that it is known in vain to have been tried. */
  async function refresh(): Promise<void> {
    const ageMs = now() - readAt;
    if (ageMs < keysMaxAgeMs) return;
    const reading = underWay ?? readAnew();
    if (ageMs >= keysOutageMaxAgeMs) {
      await reading;
      return;
    }
    // Once the database is known to be away, nobody waits for it again: what goes on is found by the reads behind their backs.
    await withTimeout(reading, isAway ? 0 : patienceMs, databaseIsAway).catch(() => {
      isAway = true;
    });
  }

  return {
    async find(key, { isCachedOnly = false } = {}) {
      const sha256 = apiKeyDigest(key);
      const found = findEqual(configured, sha256);
      if (found !== undefined) return found;
      await refresh();
      const among = findEqual(stored, sha256);
      if (among !== undefined || isCachedOnly) return among;
      await readAnew();
      return findEqual(stored, sha256);
    },
    async hasAny() {
      if (configured.length > 0) return true;
      await refresh();
      return stored.length > 0;
    },
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
