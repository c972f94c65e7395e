import { describe, expect } from 'vitest';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { openShop } from '../support/harness/shop.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';
import { openMovableAddress } from '../support/services/movable-address.ts';
import { startRedisServer } from '../support/services/redis-servers.ts';

async function startOn(
  databaseUrl: string,
  env: Readonly<Record<string, string>>,
): Promise<TestWorker> {
  const worker = await startTestWorker({ databaseUrl, backend: 'redis', env });
  if (worker === undefined) throw new Error('there is no Redis');
  return worker;
}

async function accept(worker: TestWorker): Promise<string> {
  return (await openShop(worker).accept({ remark: 'sandbox:direct' })).tokenization.id;
}

async function untilActive(worker: TestWorker, id: string): Promise<void> {
  await eventually('the tokenization becomes active', async () => {
    return (await findTokenization(worker.app.operations.db, id))?.state === 'active';
  });
}

/** The log lines with this cause. */
function linesOf(worker: TestWorker, cause: string): readonly string[] {
  return worker.logs.filter((line) => line.includes(`"storeFault":"${cause}"`));
}

describe('a Redis that stops taking writes', () => {
  test('a failover that leaves connections open: the worker follows the address within seconds, and logs READONLY', async ({
    databaseUrl,
  }) => {
    const [first, second] = await Promise.all([startRedisServer(), startRedisServer()]);
    await second.admin.replicaof('127.0.0.1', first.port);
    const address = await openMovableAddress(first.port);
    const worker = await startOn(databaseUrl, { REDIS_URL: `redis://127.0.0.1:${address.port}` });
    try {
      await untilActive(worker, await accept(worker));
      await second.admin.replicaof('NO', 'ONE');
      await first.admin.replicaof('127.0.0.1', second.port);
      address.leadTo(second.port);
      const during = await Promise.all([accept(worker), accept(worker)]);
      await Promise.all(during.map(async (id) => await untilActive(worker, id)));
      expect(linesOf(worker, 'READONLY').length).toBeGreaterThan(0);
    } finally {
      await worker.close();
    }
  });

  test('a full Redis: the worker logs OOM once per message, asks rarely, and goes on by itself', async ({
    databaseUrl,
  }) => {
    const { url, admin } = await startRedisServer();
    const worker = await startOn(databaseUrl, { REDIS_URL: url });
    const commands = async (): Promise<number> =>
      Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))?.[1]);
    try {
      await untilActive(worker, await accept(worker));
      await admin.config('SET', 'maxmemory', '1mb');
      await eventually('Redis refuses a command', () => linesOf(worker, 'OOM').length > 0);
      await expect(worker.app.backend.proveWrite()).rejects.toMatchObject({
        code: 'queue_unavailable',
        message: expect.stringContaining('OOM'),
      });
      const waiting = await accept(worker);
      const before = await commands();
      // A worker that spins sends some thousand commands in this second.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect((await commands()) - before).toBeLessThan(700);
      const messages = linesOf(worker, 'OOM').map(
        (line) => (JSON.parse(line) as { msg: string }).msg,
      );
      expect(messages).toEqual([...new Set(messages)]);
      await admin.config('SET', 'maxmemory', '0');
      await untilActive(worker, waiting);
    } finally {
      await worker.close();
    }
  });
});
