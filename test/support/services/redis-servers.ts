import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { eventually } from '../eventually.ts';
import { freePort, spawnAnyRedis } from './services.ts';

/** A Redis server of one test. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** A connection to it, for commands of the test. */
  readonly admin: Redis;
}

/** Starts a Redis server until the test ends. Throws if there is no redis-server on the path. */
export async function startRedisServer(
  settings: readonly string[] = [],
  password?: string,
): Promise<RedisServer> {
  const port = await freePort();
  const secret =
    password === undefined ? [] : ['--requirepass', password, '--masterauth', password];
  const server = await spawnAnyRedis(port, [...settings, ...secret]);
  if (server === undefined) throw new Error('redis-server did not start: install redis-server');
  const url = password === undefined ? server.url : `redis://:${password}@127.0.0.1:${port}`;
  const admin = new Redis(url, { enableReadyCheck: false });
  admin.on('error', () => undefined);
  onTestFinished(async () => {
    admin.disconnect();
    await server.close();
  });
  return { port, url, admin };
}

/** Starts a cluster of this many primaries until the test ends. */
export async function startRedisCluster(
  nodes: number,
  password?: string,
): Promise<readonly RedisServer[]> {
  const servers = await Promise.all(
    Array.from({ length: nodes }, async () => {
      const busPort = await freePort();
      return await startRedisServer(
        ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)],
        password,
      );
    }),
  );
  const [first] = servers;
  const share = Math.ceil(16_384 / nodes);
  for (const [index, { admin }] of servers.entries()) {
    await admin.call('cluster', 'set-config-epoch', index + 1);
    const last = Math.min((index + 1) * share, 16_384) - 1;
    await admin.call('cluster', 'addslotsrange', index * share, last);
  }
  for (const { admin, port } of servers.slice(1)) {
    const busPort = (await admin.config('GET', 'cluster-port')) as readonly string[];
    await first?.admin.call('cluster', 'meet', '127.0.0.1', port, busPort[1] ?? '');
  }
  await eventually('the cluster is formed', async () => {
    const infos = await Promise.all(
      servers.map(async ({ admin }) => String(await admin.call('cluster', 'info'))),
    );
    return infos.every(
      (info) => info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes}`),
    );
  });
  return servers;
}
