import { describe, expect, test } from 'vitest';
import { createLogger } from '../src/observability/logger.ts';
import { createShutdown, type Shutdown } from '../src/shutdown.ts';

const silent = createLogger({ level: 'silent' });
const never = async (): Promise<void> => await new Promise<void>(() => undefined);

function shutdownOf(
  parts: Readonly<Record<string, () => Promise<void>>>,
  deadlineMs = 5_000,
): { shutdown: Shutdown; closed: string[] } {
  const closed: string[] = [];
  const shutdown = createShutdown({ deadlineMs, logger: silent });
  for (const [name, close] of Object.entries(parts)) {
    shutdown.own(name, {
      close: async () => {
        await close();
        closed.push(name);
      },
    });
  }
  return { shutdown, closed };
}

const atOnce = async (): Promise<void> => undefined;

describe('a shutdown', () => {
  test('closes parts one after the other, last opened first', async () => {
    const workers = Promise.withResolvers<void>();
    const { shutdown, closed } = shutdownOf({
      database: atOnce,
      workers: async () => await workers.promise,
      listener: atOnce,
    });
    const running = shutdown.run();
    await expect.poll(() => closed).toEqual(['listener']);
    workers.resolve();
    expect(await running).toEqual({ isClean: true, late: [] });
    expect(closed).toEqual(['listener', 'workers', 'database']);
  });

  test('runs once when it is requested twice', async () => {
    const { shutdown, closed } = shutdownOf({ database: atOnce });
    const [first, second] = await Promise.all([shutdown.run(), shutdown.run()]);
    expect(first).toBe(second);
    expect(await shutdown.run()).toBe(first);
    expect(closed).toEqual(['database']);
  });

  test('with a part that hangs ends at the deadline and reports only that part', async () => {
    const slightlySlow = async (): Promise<void> =>
      await new Promise((resolve) => setTimeout(resolve, 20));
    const { shutdown, closed } = shutdownOf(
      { database: slightlySlow, workers: slightlySlow, listener: never },
      1_200,
    );
    const startedAt = performance.now();
    expect(await shutdown.run()).toEqual({ isClean: false, late: ['listener'] });
    expect(performance.now() - startedAt).toBeLessThan(1_200);
    expect(closed).toEqual(['workers', 'database']);
  });

  test('with nothing but hanging parts still ends at the deadline', async () => {
    const { shutdown } = shutdownOf({ a: never, b: never, c: never }, 300);
    const startedAt = performance.now();
    expect((await shutdown.run()).late).toEqual(['c', 'b', 'a']);
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });

  test('with a part that fails, even synchronously, closes the others', async () => {
    const shutdown = createShutdown({ deadlineMs: 1_000, logger: silent });
    const closed: string[] = [];
    shutdown.own('database', { close: async () => void closed.push('database') });
    shutdown.own('rejecting', { close: async () => await Promise.reject(new Error('x')) });
    shutdown.own('throwing', {
      close: () => {
        throw new Error('x');
      },
    });
    expect(await shutdown.run()).toEqual({ isClean: true, late: [] });
    expect(closed).toEqual(['database']);
  });

  test('of nothing is clean', async () => {
    const shutdown = createShutdown({ deadlineMs: 1_000, logger: silent });
    expect(await shutdown.run()).toEqual({ isClean: true, late: [] });
  });
});
