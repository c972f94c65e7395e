import { afterEach, describe, expect, test, vi } from 'vitest';
import { createCache, type Loaded, notStored } from '../../src/cache/cache.ts';

const lifetimes = { refreshAfterMs: 10, maxStaleMs: 30, maxStaleOnErrorMs: 100 };

/**
 * A cache on a clock of the test's own, and a source whose answers count up and may fail or be held
 * back.
 */
function openCache(loadTimeoutMs?: number) {
  const clock = { nowMs: 1_000 };
  const source: { loads: number; fault?: Error; held?: Promise<void> } = { loads: 0 };
  const cache = createCache<number>({
    ...(loadTimeoutMs === undefined ? {} : { loadTimeoutMs }),
    now: () => clock.nowMs,
  });
  const load = async (): Promise<Loaded<number>> => {
    source.loads += 1;
    const value = source.loads;
    await source.held;
    if (source.fault !== undefined) throw source.fault;
    return { value, ...lifetimes };
  };
  const read = async (key = 'a'): Promise<string> => {
    const { value, source: from } = await cache.get(key, load);
    return `${value} ${from}`;
  };
  return { clock, source, cache, load, read };
}

/** Lets background loads that are not held back end. */
const settle = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

afterEach(() => {
  vi.useRealTimers();
});

describe('a read', () => {
  test('shares one load with all others of its key, and none with other keys', async () => {
    const { source, read } = openCache();
    const reads = await Promise.all([read('a'), read('a'), read('b'), read('a')]);
    expect(reads).toEqual(['1 load', '1 load', '2 load', '1 load']);
    expect(source.loads).toBe(2);
  });

  test('gets a fresh value without a load, and a stale one at once while the cache revalidates it', async () => {
    const { clock, read } = openCache();
    await read();
    clock.nowMs += 9;
    expect(await read()).toBe('1 cache');
    clock.nowMs += 1;
    expect(await read()).toBe('1 cache');
    await settle();
    expect(await read()).toBe('2 cache');
  });

  test('waits for a load once the value is older than maxStaleMs', async () => {
    const { clock, read } = openCache();
    await read();
    clock.nowMs += 30;
    expect(await read()).toBe('2 load');
  });

  test('may ask for a load however young the value is', async () => {
    const { cache, load, read } = openCache();
    await read();
    expect(await cache.get('a', load, { mustLoad: true })).toMatchObject({
      value: 2,
      source: 'load',
    });
  });

  test('does not join a load that began before the value was invalidated', async () => {
    const { clock, source, cache, read } = openCache();
    await read();
    const held = Promise.withResolvers<void>();
    source.held = held.promise;
    clock.nowMs += 10;
    expect(await read()).toBe('1 cache');
    cache.invalidate(() => true);
    delete source.held;
    expect(await read()).toBe('3 load');
    held.resolve();
    await settle();
    expect(await read()).toBe('3 cache');
  });

  test('gets the value of an overtaken load where no younger load has ended', async () => {
    const { clock, source, cache, load, read } = openCache();
    const held = Promise.withResolvers<void>();
    source.held = held.promise;
    const first = cache.reload('a', load);
    const never = Promise.withResolvers<void>();
    source.held = never.promise;
    clock.nowMs += 1;
    void cache.reload('a', load);
    held.resolve();
    await first;
    expect(cache.peek('a')).toBe(1);
    expect(await read()).toBe('1 cache');
  });

  test('gets the stored value while loads fail, until maxStaleOnErrorMs, and then their fault', async () => {
    const { clock, source, read } = openCache();
    await read();
    source.fault = new Error('away');
    clock.nowMs += 99;
    expect(await read()).toBe('1 stale');
    clock.nowMs += 1;
    await expect(read()).rejects.toThrow('away');
  });

  test('begins a background load that fails again only after refreshAfterMs', async () => {
    const { clock, source, read } = openCache();
    await read();
    source.fault = new Error('away');
    for (const ms of [10, 5, 4, 1]) {
      clock.nowMs += ms;
      await read();
      await settle();
    }
    expect(source.loads).toBe(3);
  });

  describe('of a key whose load hangs', () => {
    /** A cache with the value 1 of the key `a` and 2 of the key `b`, and reads in virtual time. */
    const openHanging = async () => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const opened = openCache(20);
      const { clock, source, read } = opened;
      const gates: PromiseWithResolvers<void>[] = [];
      const ends: string[] = [];
      await read('a');
      await read('b');
      clock.nowMs += 30;
      return {
        ...opened,
        ends,
        /** From now on loads hang, until `end` is called. */
        hang: (): void => {
          const gate = Promise.withResolvers<void>();
          gates.push(gate);
          source.held = gate.promise;
        },
        end: async (): Promise<void> => {
          delete source.held;
          for (const gate of gates) gate.resolve();
          await settle();
        },
        /** Begins a read; `ends` holds the results of those that have ended. */
        begin: (key = 'a'): void =>
          void read(key).then(
            (end) => ends.push(end),
            () => ends.push('fault'),
          ),
        pass: async (ms: number): Promise<void> => {
          clock.nowMs += ms;
          await vi.advanceTimersByTimeAsync(ms);
        },
      };
    };

    test('waits until the load is loadTimeoutMs old, and then not at all', async () => {
      const { hang, begin, pass, ends } = await openHanging();
      hang();
      begin();
      await pass(19);
      begin();
      expect(ends).toEqual([]);
      await pass(1);
      expect(ends).toEqual(['1 stale', '1 stale']);
      begin();
      await pass(0);
      expect(ends).toHaveLength(3);
    });

    test('waits again once that load has ended, also where it failed', async () => {
      const { hang, end, begin, pass, ends, source } = await openHanging();
      hang();
      begin();
      await pass(20);
      source.fault = new Error('away');
      await end();
      delete source.fault;
      hang();
      begin();
      await pass(19);
      expect(ends).toEqual(['1 stale']);
      await end();
      expect(ends).toEqual(['1 stale', '4 load']);
    });

    test('waits for a load that begins after an invalidation, and does not join the one that hangs', async () => {
      const { hang, end, begin, pass, ends, cache } = await openHanging();
      hang();
      begin();
      await pass(20);
      cache.invalidate(() => true);
      begin();
      await pass(19);
      expect(ends).toEqual(['1 stale']);
      await end();
      expect(ends).toEqual(['1 stale', '4 load']);
    });

    test('does not change the reads of other keys', async () => {
      const { hang, end, begin, pass, ends } = await openHanging();
      hang();
      begin('a');
      await pass(20);
      begin('b');
      await pass(19);
      expect(ends).toEqual(['1 stale']);
      await end();
      expect(ends).toEqual(['1 stale', '4 load']);
    });
  });

  test('waits for a load to its end where nothing is stored, however long it takes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { source, read } = openCache(50);
    const hang = Promise.withResolvers<void>();
    source.held = hang.promise;
    const first = read();
    await vi.advanceTimersByTimeAsync(60_000);
    hang.resolve();
    expect(await first).toBe('1 load');
  });
});

describe('a value', () => {
  test('ages from the start of its load, so a change during the load is not hidden longer', async () => {
    const { clock, source, read } = openCache();
    const hang = Promise.withResolvers<void>();
    source.held = hang.promise;
    const first = read();
    clock.nowMs += 29;
    hang.resolve();
    await first;
    const next = Promise.withResolvers<void>();
    source.held = next.promise;
    expect(await read()).toBe('1 cache');
    clock.nowMs += 1;
    const second = read();
    next.resolve();
    expect(await second).toBe('2 load');
  });

  test('that is invalidated is reloaded by the next read, and is served stale if that load fails', async () => {
    const { cache, source, read } = openCache();
    await read('a');
    await read('b');
    expect(cache.invalidate((value) => value === 1)).toEqual(['a']);
    source.fault = new Error('away');
    expect(await read('a')).toBe('1 stale');
    expect(await read('b')).toBe('2 cache');
    delete source.fault;
    expect(await read('a')).toBe('4 load');
    expect(await read('a')).toBe('4 cache');
  });

  test('that was being loaded during an invalidation is loaded once more', async () => {
    const { cache, read } = openCache();
    const early = read();
    cache.invalidate(() => true);
    expect(await early).toBe('1 load');
    expect(await read()).toBe('2 load');
    expect(await read()).toBe('2 cache');
  });

  test('that is deleted is given to no later read, also where it was being loaded', async () => {
    const { cache, source, read } = openCache();
    await read();
    const early = cache.reload('a', async () => await Promise.resolve({ value: 50, ...lifetimes }));
    cache.delete('a');
    expect(cache.peek('a')).toBeUndefined();
    expect(await read()).toBe('2 load');
    expect(await early).toBe(50);
    expect(await read()).toBe('2 cache');
    cache.delete('a');
    source.fault = new Error('away');
    await expect(read()).rejects.toThrow('away');
  });

  test('of a reload replaces that of an older load, whichever ends first', async () => {
    const { cache, source, load, read } = openCache();
    const slow = Promise.withResolvers<void>();
    source.held = slow.promise;
    const early = read();
    delete source.held;
    expect(await cache.reload('a', load)).toBe(2);
    slow.resolve();
    expect(await early).toBe('1 load');
    expect(await read()).toBe('2 cache');
  });

  test('that the source no longer has is not brought back by an older load', async () => {
    const { cache, source, load, read } = openCache();
    const slow = Promise.withResolvers<void>();
    source.held = slow.promise;
    const early = read();
    await cache.reload('a', async () => await Promise.resolve(notStored(0)));
    slow.resolve();
    expect(await early).toBe('1 load');
    expect(cache.peek('a')).toBeUndefined();
    // Of loads that begin from then on, the youngest is stored as before.
    delete source.held;
    expect(await cache.reload('a', load)).toBe(2);
    expect(await read()).toBe('2 cache');
  });

  test('is stored although another key was deleted during its load', async () => {
    const { cache, read } = openCache();
    const loading = read('a');
    cache.delete('b');
    expect(await loading).toBe('1 load');
    expect(await read('a')).toBe('1 cache');
  });

  test('that must not be stored goes to the reads that waited for it and to no other', async () => {
    const { cache } = openCache();
    let loads = 0;
    const load = async (): Promise<Loaded<number>> => {
      loads += 1;
      return await Promise.resolve({ ...lifetimes, value: loads, maxStaleOnErrorMs: 0 });
    };
    const reads = await Promise.all([cache.get('a', load), cache.get('a', load)]);
    expect(reads.map(({ value }) => value)).toEqual([1, 1]);
    expect(cache.peek('a')).toBeUndefined();
    expect((await cache.get('a', load)).value).toBe(2);
  });
});
