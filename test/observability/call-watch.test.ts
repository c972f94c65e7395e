import { describe, expect, test } from 'vitest';
import { createCallWatch } from '../../src/observability/call-watch.ts';
import { createFaultLog } from '../../src/observability/fault-log.ts';
import { createLogger } from '../../src/observability/logger.ts';

const host = 'gateway.example';

/** A watch, with the lines that it logs and the numbers that it reports. */
function watch({ intervalMs = 60_000, failingAfterMs = 60_000 } = {}) {
  const lines: { level: number; msg: string; repeated?: number; reason?: string }[] = [];
  const numbers: [string, number][] = [];
  const logger = createLogger({
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const calls = createCallWatch('gateway', createFaultLog(logger, { intervalMs }), {
    failingAfterMs,
    onFailedInARow: (...number) => numbers.push(number),
  });
  const call = (failure?: string, target = 'create', subject?: string): void =>
    calls.observe({ target, host, subject, failure });
  return { call, lines, numbers, failing: calls.failing };
}

describe('a watch of calls', () => {
  test('logs the first failure at once and says from the third one that all fail', () => {
    const { call, lines, failing } = watch();
    call('http_5xx');
    expect(lines).toMatchObject([
      {
        level: 40,
        msg: 'a call to the gateway failed',
        target: 'create',
        host,
        reason: 'http_5xx',
      },
    ]);
    call('http_5xx');
    expect(failing()).toEqual([]);
    call('timeout');
    expect(failing()).toEqual(['create']);
    expect(lines.slice(1)).toMatchObject([
      { level: 50, msg: 'every call to the gateway fails', reason: 'timeout', failedInARow: 3 },
    ]);
    for (let more = 0; more < 1_000; more += 1) call('timeout');
    expect(lines).toHaveLength(2);
    call();
    expect(failing()).toEqual([]);
    expect(lines.slice(2)).toMatchObject([
      { level: 30, msg: 'the gateway answers again', failed: 1_003 },
    ]);
    // A gateway that fails most calls and answers some makes no further lines in this minute.
    for (let more = 0; more < 100; more += 1) call(more % 5 === 0 ? undefined : 'timeout');
    expect(lines).toHaveLength(4);
  });

  test('says only that the calls about one subject fail, until other subjects fail too', () => {
    const { call, lines, numbers, failing } = watch();
    for (let retries = 0; retries < 5; retries += 1) call('body_unreadable', 'query', 'first');
    expect(failing()).toEqual([]);
    expect(numbers.at(-1)).toEqual(['query', 5]);
    const repeated = 'the calls to the gateway about one tokenization or credential fail';
    expect(lines).toMatchObject([
      { level: 40, msg: 'a call to the gateway failed' },
      { level: 40, msg: repeated, subject: 'first', failedInARow: 3 },
    ]);
    call('body_unreadable', 'query', 'second');
    expect(failing()).toEqual([]);
    call('body_unreadable', 'query', 'third');
    expect(failing()).toEqual(['query']);
    expect(lines.slice(2)).toMatchObject([{ level: 50, msg: 'every call to the gateway fails' }]);
    call(undefined, 'query', 'fourth');
    for (let retries = 0; retries < 5; retries += 1) call('body_unreadable', 'query', 'first');
    expect(failing()).toEqual([]);
    expect(lines.map(({ msg }) => msg).slice(3)).toEqual(['the gateway answers again']);
  });

  test('says that all calls about a single subject fail once none has succeeded for long', () => {
    const { call, lines, failing } = watch({ failingAfterMs: 0 });
    for (let retries = 0; retries < 3; retries += 1) {
      expect(failing()).toEqual([]);
      call('timeout', 'access_token_refresh', 'only');
    }
    expect(failing()).toEqual(['access_token_refresh']);
    expect(lines.at(-1)).toMatchObject({ level: 50, msg: 'every call to the gateway fails' });
  });

  test('repeats a line once per interval, with the number of failures in between', () => {
    const { call, lines } = watch({ intervalMs: 0 });
    for (let failures = 0; failures < 4; failures += 1) call('timeout');
    expect(lines.map(({ msg }) => msg)).toEqual([
      'a call to the gateway failed',
      'a call to the gateway failed',
      'every call to the gateway fails',
      'every call to the gateway fails',
    ]);
    expect(lines.map(({ repeated }) => repeated)).toEqual(Array.from({ length: 4 }));
  });

  test('keeps operations apart, reports their numbers, and is silent while calls succeed', () => {
    const { call, lines, numbers, failing } = watch();
    for (let round = 0; round < 3; round += 1) {
      call('timeout', 'create');
      call(undefined, 'query');
    }
    expect(failing()).toEqual(['create']);
    expect(numbers).toEqual([
      ['create', 1],
      ['create', 2],
      ['create', 3],
    ]);
    expect(lines).toHaveLength(2);
  });
});

test('a log of faults counts what it leaves out', async () => {
  const lines: { repeated?: number }[] = [];
  const logger = createLogger({
    level: 'info',
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const intervalMs = 50;
  const log = createFaultLog(logger, { intervalMs });
  const fault = { cause: 'READONLY', level: 'warn', fields: {}, message: 'no write' } as const;
  const startedAt = performance.now();
  let faults = 0;
  while (lines.length < 3) {
    log.fault(fault);
    faults += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2 * intervalMs);
  const repeated = lines.map((line) => line.repeated ?? 0);
  expect(repeated[0]).toBe(0);
  expect(repeated.reduce((sum, count) => sum + count, 0)).toBe(faults - 3);
  log.over('OOM', {}, 'never logged');
  expect(lines).toHaveLength(3);
});
