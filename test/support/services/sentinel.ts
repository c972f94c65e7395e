import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { eventually } from '../eventually.ts';
import { freePort } from './services.ts';

/** A Sentinel of one test, which alone decides on failovers. */
export interface Sentinel {
  readonly port: number;
  /** The name of the primary. */
  readonly name: string;
  /** Makes a replica the primary; resolves when it is. */
  readonly failOver: () => Promise<void>;
}

/** Every Redis server can be a Sentinel. */
const program = 'redis-server';

/** Starts a Sentinel in front of the primary on this port until the test ends. */
export async function startSentinel(primaryPort: number): Promise<Sentinel> {
  const name = 'orders';
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-sentinel-'));
  const file = join(directory, 'sentinel.conf');
  await writeFile(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${directory}`,
      `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 1`,
      `sentinel down-after-milliseconds ${name} 1000`,
      `sentinel failover-timeout ${name} 2000`,
    ].join('\n'),
  );
  const server = spawn(program, [file, '--sentinel'], { stdio: 'ignore' });
  const admin = new Redis({ port, host: '127.0.0.1', enableReadyCheck: false });
  admin.on('error', () => undefined);
  onTestFinished(async () => {
    admin.disconnect();
    server.kill();
    if (server.exitCode === null) await once(server, 'exit');
    await rm(directory, { recursive: true, force: true });
  });
  const primary = async (): Promise<string | undefined> => {
    const reply = await admin.call('sentinel', 'get-master-addr-by-name', name);
    return Array.isArray(reply) ? String(reply[1]) : undefined;
  };
  await eventually('the Sentinel answers', async () => (await primary()) === String(primaryPort));
  return {
    port,
    name,
    async failOver() {
      await eventually('the Sentinel knows the replica and starts the failover', async () => {
        return await admin.call('sentinel', 'failover', name).then(
          () => true,
          () => false,
        );
      });
      await eventually('the primary is another', async () => {
        return (await primary()) !== String(primaryPort);
      });
    },
  };
}
