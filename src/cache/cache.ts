/**
 * What a load gave, and how long it is good for. Ages in milliseconds, from the start of the load.
 */
export interface Loaded<Value> {
  readonly value: Value;
  /**
   * From this age on, a read gets the value immediately, and the cache loads it again in the
   * background.
   */
  readonly refreshAfterMs: number;
  /** From this age on, a read waits for a load. */
  readonly maxStaleMs: number;
  /**
   * Up to this age, a read whose load fails or hangs still gets the value. 0: the value is not
   * stored.
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
  /** Begins a load now, also where an older one is under way; the younger value is stored. */
  readonly reload: (key: string, load: Load<Value>) => Promise<Value>;
  /** The stored value, unless it is older than its `maxStaleOnErrorMs`. */
  readonly peek: (key: string) => Value | undefined;
  /**
   * Values that match, and all that are being loaded, need another load before they are read again.
   * Returns the keys.
   */
  readonly invalidate: (matches: (value: Value, key: string) => boolean) => readonly string[];
  /**
   * Evicts a key's value. A value that is being loaded goes to the reads that wait for it and is
   * not stored.
   */
  readonly delete: (key: string) => void;
}

/** How a cache works. Times in milliseconds. */
export interface CacheOptions {
  /**
   * A read with a stored value waits for a load until the load is this old; a load that hangs then
   * holds up no further read. Left out: until the load ends.
   */
  readonly loadTimeoutMs?: number;
  /** A clock that only goes forward. */
  readonly now?: () => number;
}

interface Entry<Value> extends Loaded<Value> {
  readonly startedAtMs: number;
  refreshAtMs: number;
  isInvalid: boolean;
}

/** A load that is under way. */
interface Loading<Value> {
  readonly entry: Promise<Entry<Value>>;
  readonly startedAtMs: number;
  /** What was invalidated during the load may be newer than its answer. */
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
  loadTimeoutMs = Infinity,
  now = () => performance.now(),
}: CacheOptions = {}): Cache<Value> {
  const entries = createEntries<Value>(now);
  const loads = createLoads<Value>();

  function startLoad(key: string, load: Load<Value>): Loading<Value> {
    const startedAtMs = now();
    const loading: Loading<Value> = {
      startedAtMs,
      isInvalid: false,
      entry: load(startedAtMs).then((loaded) => {
        const refreshAtMs = startedAtMs + loaded.refreshAfterMs;
        const entry = { ...loaded, startedAtMs, refreshAtMs, isInvalid: loading.isInvalid };
        if (loads.succeed(key, loading)) entries.put(key, entry);
        return entry;
      }),
    };
    loads.add(key, loading);
    loading.entry.catch(() => loads.fail(key, loading));
    return loading;
  }

  const joinLoad = (key: string, load: Load<Value>): Loading<Value> =>
    loads.findValid(key) ?? startLoad(key, load);

  /** The result of a load; undefined if the load fails or takes too long. */
  async function inTime({ entry, startedAtMs }: Loading<Value>): Promise<Entry<Value> | undefined> {
    const loaded = entry.catch(() => undefined);
    const leftMs = startedAtMs + loadTimeoutMs - now();
    if (leftMs === Infinity) return await loaded;
    if (leftMs <= 0) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, leftMs, undefined);
    });
    const first = await Promise.race([loaded, late]);
    clearTimeout(timer);
    return first;
  }

  return {
    async get(key, load, { mustLoad = false } = {}) {
      const known = entries.find(key);
      if (known === undefined) return hitOf(await joinLoad(key, load).entry, 'load');
      const isStale = known.isInvalid || now() >= known.startedAtMs + known.maxStaleMs;
      if (!isStale && !mustLoad) {
        if (now() >= known.refreshAtMs) {
          known.refreshAtMs = now() + known.refreshAfterMs;
          joinLoad(key, load);
        }
        return hitOf(known, 'cache');
      }
      const loading = joinLoad(key, load);
      const loaded = await inTime(loading);
      if (loaded !== undefined) return hitOf(loaded, 'load');
      // Looked up again: it may have ended or been deleted by now.
      const kept = entries.find(key);
      return kept === undefined ? hitOf(await loading.entry, 'load') : hitOf(kept, 'stale');
    },
    reload: async (key, load) => (await startLoad(key, load).entry).value,
    peek: (key) => entries.find(key)?.value,
    invalidate(matches) {
      loads.invalidate();
      return entries.invalidate(matches);
    },
    delete(key) {
      entries.delete(key);
      loads.delete(key);
    },
  };
}

/**
 * The loads under way whose value may still be stored, by key. Once a load succeeds, those that
 * began before it are stored no more, since their answers are older. The start of a younger load
 * does not exclude them: if loads followed each other faster than one takes, none would be stored.
 */
function createLoads<Value>() {
  /** In the order in which they began. */
  const loads = new Map<string, readonly Loading<Value>[]>();
  const get = (key: string): readonly Loading<Value>[] => loads.get(key) ?? [];
  const set = (key: string, left: readonly Loading<Value>[]): void => {
    if (left.length === 0) loads.delete(key);
    else loads.set(key, left);
  };
  return {
    add: (key: string, loading: Loading<Value>): void => set(key, [...get(key), loading]),
    /** The youngest load, unless it began before the last invalidation. */
    findValid(key: string): Loading<Value> | undefined {
      const youngest = get(key).at(-1);
      return youngest?.isInvalid === false ? youngest : undefined;
    },
    /** Ends a load. False where its value must not be stored. */
    succeed(key: string, loading: Loading<Value>): boolean {
      const index = get(key).indexOf(loading);
      if (index === -1) return false;
      set(key, get(key).slice(index + 1));
      return true;
    },
    fail: (key: string, loading: Loading<Value>): void =>
      set(
        key,
        get(key).filter((other) => other !== loading),
      ),
    invalidate(): void {
      for (const loading of [...loads.values()].flat()) loading.isInvalid = true;
    },
    delete: (key: string): boolean => loads.delete(key),
  };
}

/**
 * Stored entries by key. An entry older than its `maxStaleOnErrorMs` is not found. `find` removes
 * it, and so does a `put` of any key, unless an entry that was stored before it still counts.
 */
function createEntries<Value>(now: () => number) {
  /** The longest stored first. */
  const entries = new Map<string, Entry<Value>>();
  const isUsable = (entry: Entry<Value>): boolean =>
    now() < entry.startedAtMs + entry.maxStaleOnErrorMs;
  return {
    find(key: string): Entry<Value> | undefined {
      const entry = entries.get(key);
      if (entry === undefined || isUsable(entry)) return entry;
      entries.delete(key);
      return undefined;
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
