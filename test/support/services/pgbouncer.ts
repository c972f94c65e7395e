import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { eventually } from '../eventually.ts';
import { areProgramsRequired, isProgramThere } from './programs.ts';
import { freePort, isListening } from './services.ts';

/** When PgBouncer gives a server connection back: after each transaction, or with the client. */
export type PoolMode = 'transaction' | 'session';

const program = 'pgbouncer';
/** A user without rights: PgBouncer refuses to run as root. */
const plainUserId = 65_534;

/** Whether PgBouncer is installed. Where it has to be, its absence fails the run. */
export async function hasPgBouncer(): Promise<boolean> {
  if (await isProgramThere([program, '--version'])) return true;
  if (areProgramsRequired) throw new Error('PgBouncer is not installed');
  console.warn('\n!!! PgBouncer is not installed, so poolers were NOT tested. !!!\n');
  return false;
}

/**
 * Starts PgBouncer in front of the server at `url` until the test ends, and returns the URL through
 * it. All settings but sizes are its defaults; each transaction gets another server connection.
 */
export async function startPgBouncer(
  url: string,
  mode: PoolMode,
  settings: readonly string[] = [],
): Promise<string> {
  const target = new URL(url);
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-pgbouncer-'));
  await chmod(directory, 0o755);
  const login = [target.username, decodeURIComponent(target.password)];
  await writeFile(join(directory, 'users'), login.map((part) => `"${part}"`).join(' '));
  await writeFile(
    join(directory, 'pgbouncer.ini'),
    [
      '[databases]',
      `* = host=${target.hostname} port=${target.port || '5432'}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${join(directory, 'users')}`,
      `pool_mode = ${mode}`,
      `default_pool_size = ${mode === 'session' ? 40 : 4}`,
      'server_round_robin = 1',
      ...settings,
    ].join('\n'),
  );
  const identity = userInfo().uid === 0 ? { uid: plainUserId, gid: plainUserId } : {};
  const server = spawn(program, ['-q', join(directory, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...identity,
  });
  onTestFinished(async () => {
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
    await rm(directory, { recursive: true, force: true });
  });
  await eventually('PgBouncer listens', async () => await isListening({ host: '127.0.0.1', port }));
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String(port);
  return through.href;
}
