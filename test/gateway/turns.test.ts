import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  createTurns,
  type Later,
  type Turn,
  type TurnLimits,
  type TurnRequest,
} from '../../src/gateway/turns.ts';

const noLimits = { atOnceMax: Infinity, atOnceInAllMax: Infinity, lineMsMax: Infinity };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Turns on a clock of the test's own. `ask` gives what came of it once that is known. */
function turnsWith(limits: Partial<TurnLimits>) {
  const take = createTurns({ perSecondMax: 5, ...noLimits, ...limits });
  const asked: { atMs: number; result: Turn | Later | undefined }[] = [];
  const ask = (host = 'one.example', request: TurnRequest = {}) => {
    const entry = { atMs: Number.NaN, result: undefined as Turn | Later | undefined };
    asked.push(entry);
    void take(`https://${host}/open-api/v1`, request).then((result) => {
      entry.atMs = Math.round(performance.now() - startedAt);
      entry.result = result;
    });
    return entry;
  };
  const startedAt = performance.now();
  return { ask, asked };
}

function inMsOf(result: Turn | Later | undefined): number {
  return result?.kind === 'later' ? Math.round(result.inMs) : Number.NaN;
}

test('turns at a host come evenly, so that no second holds more than the rate, and hold up no other host', async () => {
  const { ask, asked } = turnsWith({});
  for (let turns = 0; turns < 8; turns += 1) ask();
  const other = ask('other.example');
  await vi.advanceTimersByTimeAsync(2_000);
  expect(other.atMs).toBe(0);
  expect(asked.slice(0, 8).map(({ atMs }) => atMs)).toEqual([
    0, 200, 400, 600, 800, 1_000, 1_200, 1_400,
  ]);
});

test('a wall clock that is set back holds up nobody', async () => {
  const { ask } = turnsWith({});
  ask();
  vi.setSystemTime(Date.now() - 600_000);
  const second = ask();
  await vi.advanceTimersByTimeAsync(200);
  expect(second.result?.kind).toBe('turn');
});

test('nobody waits for longer than two seconds: the others come back one after the other, and not at all when the line is long', async () => {
  const { ask, asked } = turnsWith({ lineMsMax: 4_000 });
  for (let turns = 0; turns < 25; turns += 1) ask();
  await vi.advanceTimersByTimeAsync(0);
  // Eleven turns begin within two seconds; the next are told to come a second before their turn.
  expect(asked.map(({ result }) => inMsOf(result)).slice(11)).toEqual([
    1_400,
    1_600,
    1_800,
    2_000,
    2_200,
    2_400,
    2_600,
    2_800,
    3_000,
    ...Array.from({ length: 5 }, () => Infinity),
  ]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked.filter(({ result }) => result?.kind === 'turn')).toHaveLength(11);
});

test('a host that is full is left at once, and has a place again when a turn there has ended', async () => {
  const { ask } = turnsWith({ perSecondMax: 1_000, atOnceMax: 3, atOnceInAllMax: 3 });
  const kindOf = async (host?: string): Promise<string | undefined> => {
    await vi.advanceTimersByTimeAsync(10);
    const entry = ask(host);
    await vi.advanceTimersByTimeAsync(10);
    if (entry.result?.kind === 'turn') taken.push(entry.result);
    return entry.result?.kind;
  };
  const taken: Turn[] = [];
  expect([await kindOf(), await kindOf(), await kindOf()]).toEqual(['turn', 'turn', 'later']);
  // One place of all is left, whichever host it is for.
  expect([await kindOf('other.example'), await kindOf('third.example')]).toEqual(['turn', 'later']);
  taken[0]?.end();
  expect([await kindOf('third.example'), await kindOf()]).toEqual(['turn', 'later']);
  taken[1]?.end();
  expect(await kindOf()).toBe('turn');
});

test('who is in need has a place of its own, waits longer, and is not behind the others in the line', async () => {
  const { ask } = turnsWith({ atOnceMax: 20, lineMsMax: 10_000 });
  const others = Array.from({ length: 40 }, () => ask());
  const urgent = ask('one.example', { isUrgent: true });
  await vi.advanceTimersByTimeAsync(2_200);
  expect(urgent).toMatchObject({ atMs: 2_200, result: { kind: 'turn' } });
  expect(others.filter(({ result }) => result?.kind === 'turn')).toHaveLength(11);

  const full = turnsWith({ atOnceMax: 2, lineMsMax: 10_000 });
  for (let turns = 0; turns < 30; turns += 1) full.ask();
  const last = full.ask('one.example', { isUrgent: true });
  const beyond = full.ask('one.example', { isUrgent: true });
  await vi.advanceTimersByTimeAsync(500);
  expect(full.asked.filter(({ result }) => result?.kind === 'turn')).toHaveLength(2);
  expect(last.result?.kind).toBe('turn');
  expect(inMsOf(beyond.result)).toBeLessThan(1_000);
  expect(inMsOf(full.asked[29]?.result)).toBeGreaterThan(4_000);
});

test('those who come for a host that hangs are never more than it could serve', async () => {
  const { ask, asked } = turnsWith({ atOnceMax: 3, lineMsMax: 10_000 });
  const comeBack = async (): Promise<void> => {
    const entry = ask();
    await vi.waitUntil(() => entry.result !== undefined, { interval: 1 });
    const inMs = inMsOf(entry.result);
    if (Number.isFinite(inMs)) setTimeout(() => void comeBack(), inMs);
  };
  for (let jobs = 0; jobs < 300; jobs += 1) void comeBack();
  await vi.advanceTimersByTimeAsync(60_000);
  // Once each, and five a second of those who were told to come back.
  expect(asked.length).toBeLessThanOrEqual(300 + 5 * 60);
});

test('who gives up waiting has no turn of others, and can leave its place', async () => {
  const { ask } = turnsWith({ atOnceMax: 3 });
  ask();
  const abort = new AbortController();
  const waiting = ask('one.example', { signal: abort.signal });
  await vi.advanceTimersByTimeAsync(50);
  expect(waiting.result).toBeUndefined();
  abort.abort();
  await vi.advanceTimersByTimeAsync(0);
  if (waiting.result?.kind === 'turn') waiting.result.end();
  const next = ask();
  await vi.advanceTimersByTimeAsync(400);
  expect(next.result?.kind).toBe('turn');
});
