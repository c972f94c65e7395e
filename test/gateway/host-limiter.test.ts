import { sql } from 'kysely';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { type Db, openDatabase } from '../../src/db/connection/database.ts';
import { reserveCall } from '../../src/db/host-rate-limit.ts';
import { createHostLimiter, type CallPermit } from '../../src/gateway/host-limiter.ts';
import { test } from '../support/harness/fixtures.ts';

const host = 'one.example';
const dayMs = 24 * 60 * 60_000;

/** The next free slot of the host, in milliseconds from now, on the database's clock. */
async function nextCallInMs(db: Db): Promise<number> {
  const { rows } = await sql<{ ms: number }>`
    select (extract(epoch from next_call_at - clock_timestamp()) * 1000)::double precision as ms
    from host_rate_limit where host = ${host}`.execute(db);
  return rows[0]?.ms ?? Number.NaN;
}

async function setNextCallInMs(db: Db, ms: number): Promise<void> {
  await sql`update host_rate_limit set next_call_at = clock_timestamp() + ${ms} * interval '1 millisecond'`.execute(
    db,
  );
}

describe('the rate of calls to a host', () => {
  test('is one for the fleet, whatever the clocks of its workers say', async ({ databaseUrl }) => {
    const [workers, callsEach, spacing] = [3, 10, { callsPerSecondMax: 20, waitMsMax: 60_000 }];
    const databases = await Promise.all(
      Array.from(
        { length: workers },
        async () => await openDatabase({ url: databaseUrl, poolSizeMax: 4 }),
      ),
    );
    onTestFinished(async () => {
      vi.useRealTimers();
      await Promise.all(databases.map(async ({ close }) => await close()));
    });
    const startedAt = performance.now();
    const reservations = databases.flatMap(({ db }, index) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + (index - 1) * dayMs });
      return Array.from({ length: callsEach }, async () => await reserveCall(db, host, spacing));
    });
    const waits = await Promise.all(reservations);
    vi.useRealTimers();
    expect(waits).not.toContain(undefined);
    // Every call has moved the next slot by its 50 ms.
    const [db] = databases.map((database) => database.db);
    const nextInMs = await nextCallInMs(db ?? expect.fail());
    expect(nextInMs).toBeLessThanOrEqual(workers * callsEach * 50);
    const passedMs = performance.now() - startedAt;
    expect(nextInMs).toBeGreaterThanOrEqual(workers * callsEach * 50 - passedMs);
  });

  test('is even: each permit comes an interval after the one before, and no host waits for another', async ({
    database: { db },
  }) => {
    const limiters = Array.from({ length: 2 }, () =>
      createHostLimiter({
        reserve: async (name, waitMsMax) =>
          await reserveCall(db, name, { callsPerSecondMax: 50, waitMsMax }),
        inFlightMax: Infinity,
      }),
    );
    const startedAt = performance.now();
    const acquire = async (name: string, index: number): Promise<number> => {
      const permit = await limiters[index % limiters.length]?.acquire(name);
      expect(permit?.kind).toBe('permit');
      return performance.now() - startedAt;
    };
    const calls = Array.from({ length: 20 }, async (_, index) => await acquire(host, index));
    const first = await Promise.race([...calls, acquire('other.example', 0)]);
    const atMs = (await Promise.all(calls)).toSorted((a, b) => a - b);
    expect(first).toBeLessThanOrEqual(atMs[1] ?? 0);
    for (const [index, ms] of atMs.entries()) {
      // A timer of Node may fire a millisecond early.
      expect(ms).toBeGreaterThanOrEqual(index * 20 - 2);
    }
  });

  test('reserves no slot that is too far ahead', async ({ database: { db } }) => {
    const spacing = { callsPerSecondMax: 1, waitMsMax: 2_000 };
    expect(await reserveCall(db, host, spacing)).toBe(0);
    await setNextCallInMs(db, 2_900);
    expect(await reserveCall(db, host, spacing)).toBeUndefined();
    expect(await nextCallInMs(db)).toBeLessThanOrEqual(2_900);
    await setNextCallInMs(db, 1_900);
    expect(await reserveCall(db, host, spacing)).toBeLessThanOrEqual(1_900);
    expect(await nextCallInMs(db)).toBeGreaterThan(1_900);
  });

  test('delays no call after the clock of the database is set back', async ({
    database: { db },
  }) => {
    const spacing = { callsPerSecondMax: 1, waitMsMax: 2_000 };
    await reserveCall(db, host, spacing);
    await setNextCallInMs(db, dayMs);
    expect(await reserveCall(db, host, spacing)).toBeLessThan(1);
    expect(await nextCallInMs(db)).toBeLessThanOrEqual(1_000);
  });
});

describe('the calls in flight of a process', () => {
  const limiterOf = (reserve: () => Promise<number | undefined>) =>
    createHostLimiter({ reserve, inFlightMax: 3 });

  test('are limited for each host, and the last one is kept for urgent calls', async () => {
    const { acquire } = limiterOf(async () => await Promise.resolve(0));
    const permits: CallPermit[] = [];
    const kindOf = async (name: string, isUrgent = false): Promise<string> => {
      const permit = await acquire(name, { isUrgent });
      if (permit.kind === 'permit') permits.push(permit);
      return permit.kind;
    };
    expect([await kindOf(host), await kindOf(host)]).toEqual(['permit', 'permit']);
    expect([await kindOf(host), await kindOf('other.example')]).toEqual(['retry_later', 'permit']);
    expect([await kindOf(host, true), await kindOf(host, true)]).toEqual(['permit', 'retry_later']);
    permits[0]?.release();
    expect([await kindOf(host), await kindOf(host, true)]).toEqual(['retry_later', 'permit']);
  });

  test('are one at least, also for calls that are not urgent', async () => {
    const reserve = async () => await Promise.resolve(0);
    const { acquire } = createHostLimiter({ reserve, inFlightMax: 1 });
    expect((await acquire(host)).kind).toBe('permit');
    expect((await acquire(host, { isUrgent: true })).kind).toBe('retry_later');
  });

  test('do not count a call that got no slot', async () => {
    const answers = [
      ...Array.from({ length: 5 }, async () => await Promise.resolve(undefined)),
      ...Array.from({ length: 5 }, () => Promise.reject(new Error('no database'))),
    ];
    for (const answer of answers) answer.catch(() => undefined);
    const { acquire } = limiterOf(async () => await (answers.shift() ?? Promise.resolve(0)));
    for (let calls = 0; calls < 5; calls += 1) {
      expect(await acquire(host)).toEqual({ kind: 'retry_later', retryAfterMs: 2_000 });
    }
    for (let calls = 0; calls < 5; calls += 1) {
      await expect(acquire(host)).rejects.toThrow('no database');
    }
    expect((await acquire(host)).kind).toBe('permit');
  });

  test.for([
    { wait: 'a slot', reserve: async () => await Promise.resolve(60_000) },
    { wait: 'a reservation that hangs', reserve: async () => await new Promise<never>(() => {}) },
  ])('wait for $wait only until their worker stops', async ({ reserve }) => {
    const { acquire } = limiterOf(reserve);
    const stopping = new AbortController();
    const waiting = acquire(host, { signal: stopping.signal });
    stopping.abort();
    expect((await waiting).kind).toBe('permit');
  });

  test('are refused after two seconds while a reservation hangs, and then do not count', async () => {
    const answers = Array.from({ length: 3 }, async () => await new Promise<never>(() => {}));
    const { acquire } = limiterOf(async () => await (answers.shift() ?? Promise.resolve(0)));
    const calls = [1, 2, 3].map(async () => await acquire(host, { isUrgent: true }));
    const refusal = { kind: 'retry_later', retryAfterMs: 2_000 };
    expect(await Promise.all(calls)).toEqual([refusal, refusal, refusal]);
    expect((await acquire(host)).kind).toBe('permit');
  });
});
