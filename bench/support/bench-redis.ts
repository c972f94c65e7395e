import { Redis } from 'ioredis';
import { freePort } from '../../src/db/connection/embedded-postgres.ts';
import { spawnAnyRedis } from '../../test/support/services/services.ts';

/** A Redis for one run. */
export interface BenchRedis {
  readonly url: string;
  readonly client: Redis;
  readonly close: () => Promise<void>;
}

/** Connects to the Redis of `BENCH_REDIS_URL`, or to a server that it starts. */
export async function benchRedis(): Promise<BenchRedis> {
  const configured = process.env['BENCH_REDIS_URL'];
  const server = configured === undefined ? await spawnAnyRedis(await freePort()) : undefined;
  const url = configured ?? server?.url;
  if (url === undefined) throw new Error('Install redis-server, or set BENCH_REDIS_URL.');
  // A failed run must not leave the server behind; `close` kills it before it first waits.
  const end = (): void => void server?.close();
  process.once('exit', end);
  const client = new Redis(url);
  return {
    url,
    client,
    async close() {
      process.off('exit', end);
      client.disconnect();
      await server?.close();
    },
  };
}
