import { timingSafeEqual } from 'node:crypto';
import type { ApiScope } from '../../domain/api-key.ts';
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
   * The key, if it is in force; with `isCachedOnly`, one that was added within the last seconds may be missed. Throws what
   * the database says when the stored keys can't be read.
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

  async function read(): Promise<void> {
    startedAt = now();
    // The age counts from before the query: a key that is revoked while it runs is not kept longer for it.
    const asOf = startedAt;
    stored = await readStored();
    readAt = asOf;
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

  async function refresh(): Promise<void> {
    if (now() - readAt >= keysMaxAgeMs) await (underWay ?? readAnew());
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
