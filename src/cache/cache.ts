/**
 * What a load gave, and how long it is good for. Ages in milliseconds, from the start of the load.
 */
export interface Loaded<Value> {
  readonly value: Value;
  /** From this age on, a read gets the value at once and has it loaded again in the background. */
  readonly refreshAfterMs: number;
  /** From this age on, a read waits for a load. */
  readonly maxStaleMs: number;
  /**
   * Up to this age, a read whose load fails or hangs gets the value all the same. 0: the value is
   * not stored.
   */
  readonly maxStaleOnErrorMs: number;
}

/** A value for the reads that wait for it, and for no later one. */
export function notStored<Value>(value: Value): Loaded<Value> {
  return { value, refreshAfterMs: 0, maxStaleMs: 0, maxStaleOnErrorMs: 0 };
}

/** Loads the value of one key. `startedAtMs` is the instant from which ages count. */
export type Load<Value> = (startedAtMs: number) => Promise<Loaded<Value>>;

/**
 * A value, and how a read came by it: stored, from a load, or stored although the load failed or
 * hung.
 */
export interface CacheHit<Value> {
  readonly value: Value;
  readonly startedAtMs: number;
  readonly source: 'cache' | 'load' | 'stale';
}

/** Values by key: stale-while-revalidate, stale-if-error, and one load at a time for each key. */
export interface Cache<Value> {
  /**
   * The stored value where it is good enough, else that of a load. Throws what the load threw where
   * nothing is stored. With `mustLoad` it waits for a load, however young the stored value is.
   */
  readonly get: (
    key: string,
    load: Load<Value>,
    options?: { readonly mustLoad?: boolean },
  ) => Promise<CacheHit<Value>>;
  /** Begins a load now, also where an older one is under way. The value loaded last is stored. */
  readonly reload: (key: string, load: Load<Value>) => Promise<Value>;
  /** The stored value, unless it is older than its `maxStaleOnErrorMs`. */
  readonly peek: (key: string) => Value | undefined;
  /**
   * Values that match, and all that are being loaded, need another load before they are read again.
   * Returns the keys.
   */
  readonly invalidate: (matches: (value: Value, key: string) => boolean) => readonly string[];
  /**
   * Forgets a value. One that is being loaded goes to the reads that wait for it and is not stored.
   */
  readonly delete: (key: string) => void;
}

/** How a cache works. Times in milliseconds. */
export interface CacheOptions {
  /** How long a read with a stored value waits for a load. Left out: until the load ends. */
  readonly loadTimeoutMs?: number;
  /** A clock that only goes forward. */
  readonly now?: () => number;
}

interface Entry<Value> extends Loaded<Value> {
  readonly startedAtMs: number;
  /** Loads are numbered as they begin. */
  readonly order: number;
  refreshAtMs: number;
  isInvalid: boolean;
}

/**
 * Creates an empty cache.
 *
 * lru-cache's `fetch` does not fit. It counts one age, from the end of the load, so a value that
 * was withdrawn during the load lives too long. It can't invalidate a value and keep it for an
 * outage, and it loads again at each read while loads fail. And the client, which backends bundle,
 * brings along no package but ky and zod.
 */
export function createCache<Value>({
  loadTimeoutMs,
  now = () => performance.now(),
}: CacheOptions = {}): Cache<Value> {
  const entries = createEntries<Value>(now);
  const loads = new Map<string, Promise<Entry<Value>>>();
  let invalidations = 0;
  let deletions = 0;
  let loadsBegun = 0;
  /**
   * A load took too long, and none has succeeded since: reads that have a stored value do not wait.
   */
  let isHanging = false;

  async function startLoad(key: string, load: Load<Value>): Promise<Entry<Value>> {
    const startedAtMs = now();
    const invalidationsBefore = invalidations;
    const deletionsBefore = deletions;
    loadsBegun += 1;
    const order = loadsBegun;
    const loading = load(startedAtMs).then((loaded): Entry<Value> => {
      isHanging = false;
      const refreshAtMs = startedAtMs + loaded.refreshAfterMs;
      // What was invalidated during the load may be newer than its answer.
      const isInvalid = invalidations !== invalidationsBefore;
      return { ...loaded, startedAtMs, order, refreshAtMs, isInvalid };
    });
    loads.set(key, loading);
    try {
      const entry = await loading;
      // A load that was overtaken by a younger one is stored too: of loads that follow each other
      // faster than one takes, no other would ever be.
      const isNewest = order > (entries.find(key)?.order ?? 0);
      if (isNewest && deletions === deletionsBefore) entries.put(key, entry);
      return entry;
    } finally {
      if (loads.get(key) === loading) loads.delete(key);
    }
  }

  const joinLoad = (key: string, load: Load<Value>): Promise<Entry<Value>> =>
    loads.get(key) ?? startLoad(key, load);

  /** The result of a load; undefined if the load fails or takes too long. */
  async function inTime(loading: Promise<Entry<Value>>): Promise<Entry<Value> | undefined> {
    const loaded = loading.catch(() => undefined);
    if (loadTimeoutMs === undefined) return await loaded;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, isHanging ? 0 : loadTimeoutMs, 'late');
    });
    const first = await Promise.race([loaded, late]);
    clearTimeout(timer);
    if (first !== 'late') return first;
    isHanging = true;
    return undefined;
  }

  return {
    async get(key, load, { mustLoad = false } = {}) {
      const known = entries.find(key);
      if (known === undefined) return hitOf(await joinLoad(key, load), 'load');
      const isStale = known.isInvalid || now() >= known.startedAtMs + known.maxStaleMs;
      if (!isStale && !mustLoad) {
        if (now() >= known.refreshAtMs) {
          known.refreshAtMs = now() + known.refreshAfterMs;
          joinLoad(key, load).catch(() => undefined);
        }
        return hitOf(known, 'cache');
      }
      const loading = joinLoad(key, load);
      const loaded = await inTime(loading);
      if (loaded !== undefined) return hitOf(loaded, 'load');
      // Looked up again: it may have ended or been deleted by now.
      const kept = entries.find(key);
      return kept === undefined ? hitOf(await loading, 'load') : hitOf(kept, 'stale');
    },
    reload: async (key, load) => (await startLoad(key, load)).value,
    peek: (key) => entries.find(key)?.value,
    invalidate(matches) {
      invalidations += 1;
      // Reads from now on do not join a load that began before.
      loads.clear();
      return entries.invalidate(matches);
    },
    delete(key) {
      deletions += 1;
      entries.delete(key);
      loads.delete(key);
    },
  };
}

/**
 * Stored entries by key. An entry older than its `maxStaleOnErrorMs` is not found, and removed by a
 * later `put`.
 */
function createEntries<Value>(now: () => number) {
  /** The longest stored first. */
  const entries = new Map<string, Entry<Value>>();
  const isUsable = (entry: Entry<Value>): boolean =>
    now() < entry.startedAtMs + entry.maxStaleOnErrorMs;
  return {
    find(key: string): Entry<Value> | undefined {
      const entry = entries.get(key);
      return entry !== undefined && isUsable(entry) ? entry : undefined;
    },
    put(key: string, entry: Entry<Value>): void {
      entries.delete(key);
      if (isUsable(entry)) entries.set(key, entry);
      for (const [oldKey, old] of entries) {
        if (isUsable(old)) break;
        entries.delete(oldKey);
      }
    },
    delete: (key: string): boolean => entries.delete(key),
    invalidate(matches: (value: Value, key: string) => boolean): readonly string[] {
      const matching = [...entries].filter(([key, { value }]) => matches(value, key));
      for (const [, entry] of matching) entry.isInvalid = true;
      return matching.map(([key]) => key);
    },
  };
}

function hitOf<Value>(
  { value, startedAtMs }: Entry<Value>,
  source: CacheHit<Value>['source'],
): CacheHit<Value> {
  return { value, startedAtMs, source };
}
