import { expect, onTestFinished, test, vi } from 'vitest';
import { AppError } from '../../src/domain/errors.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { quietStoreFaults } from '../../src/observability/quiet-store-faults.ts';

function openLog(intervalMs: number) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    const { level, msg, storeFault, repeated } = JSON.parse(line) as Record<string, unknown>;
    lines.push({ level, msg, storeFault, repeated });
  };
  const logger = createLogger({ level: 'info', destination: { write } });
  return { lines, logger: quietStoreFaults(logger, { intervalMs }) };
}

const oom = new Error("OOM command not allowed when used memory > 'maxmemory'. script: 12ab");
const readOnly = new Error('-READONLY You can not write against a read only replica.');

test('a fault of a store is logged once per interval, message and cause, with its reason code', () => {
  const { lines, logger } = openLog(60_000);
  for (let count = 0; count < 1_000; count += 1) {
    logger.warn({ queue: `q${count % 7}`, error: oom }, 'a queue connection failed');
  }
  logger.warn({ error: readOnly }, 'a queue connection failed');
  logger.error({ error: new AppError('queue_unavailable', 'no', { cause: oom }) }, 'a job failed');
  const pooled = new AppError('config_invalid', 'LISTEN_DATABASE_URL: set it');
  for (const error of [pooled, pooled]) logger.warn({ error }, 'LISTEN connection lost');
  expect(lines).toMatchObject([
    { level: 40, msg: 'a queue connection failed', storeFault: 'OOM' },
    { level: 40, msg: 'a queue connection failed', storeFault: 'READONLY' },
    { level: 50, msg: 'a job failed', storeFault: 'OOM' },
    { level: 40, msg: 'LISTEN connection lost', storeFault: 'config_invalid' },
  ]);
});

test.each([
  "ERR The user executing the script can't run this command or subcommand script: 5eb3, on @user_script:1.",
  "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 2803, on @user_script:1.",
  "ERR ACL failure in script: User worker has no permissions to run the 'hset' command script: 5eb3, on @user_script:1.",
  "NOPERM User worker has no permissions to run the 'eval' command",
  '-NOPERM this user has no permissions to access one of the keys used as arguments',
])('a right that a user of Redis lacks is NOPERM: %s', (message) => {
  const { lines, logger } = openLog(60_000);
  for (let count = 0; count < 3; count += 1) {
    logger.error({ error: new Error(message) }, 'a queue connection failed');
  }
  expect(lines).toMatchObject([{ level: 50, storeFault: 'NOPERM' }]);
});

test('the next line after the interval says how many were left out', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { lines, logger } = openLog(60_000);
  for (const afterMs of [0, 10_000, 10_000, 39_999, 1, 60_000]) {
    vi.advanceTimersByTime(afterMs);
    logger.warn({ error: oom }, 'one');
  }
  expect(lines.map(({ repeated }) => repeated)).toEqual([undefined, 3, undefined]);
});

test('other faults and other levels pass unchanged', () => {
  const { lines, logger } = openLog(60_000);
  for (let count = 0; count < 3; count += 1) {
    logger.error({ error: new Error('a bug') }, 'a job failed');
    logger.info({ error: oom }, 'note');
  }
  expect(lines).toHaveLength(6);
  expect(lines.every(({ storeFault }) => storeFault === undefined)).toBe(true);
});
