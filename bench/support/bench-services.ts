import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrate } from '../../src/db/connection/migrate.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { benchDatabase } from './bench-database.ts';
import { benchRedis, type BenchRedis } from './bench-redis.ts';
import {
  type GatewayOptions,
  type GatewayProcess,
  startGatewayProcess,
} from './gateway-process.ts';
import { handWrittenTables } from './hand-written-work.ts';
import { openUsage, type ReadUsage } from './usage.ts';

/** The services that all contestants of a run share. */
export interface BenchServices {
  readonly databaseUrl: string;
  /** A connection of the benchmark itself. */
  readonly client: pg.Client;
  readonly redis: BenchRedis;
  readonly gateway: GatewayProcess;
  readonly readUsage: ReadUsage;
  /** The settings of PostgreSQL that decide what a commit costs. */
  readonly settings: Readonly<Record<string, string>>;
  /** Begins the prefix of each contestant's keys in Redis. */
  readonly prefix: string;
  /** `ENCRYPTION_KEYS` of every worker process of the product: they share the database. */
  readonly encryptionKeys: string;
  readonly close: () => Promise<void>;
}

/** Starts them, with the tables of all contestants in one database. Throws if `fsync` is off. */
export async function startBenchServices(options: GatewayOptions): Promise<BenchServices> {
  const server = await benchDatabase();
  await migrate(server.url);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const settings = await readSettings(client);
  if (settings['fsync'] !== 'on') throw new Error('This server loses commits: switch fsync on.');
  await client.query(handWrittenTables);
  const redis = await benchRedis();
  const gateway = await startGatewayProcess(options);
  return {
    databaseUrl: server.url,
    client,
    redis,
    gateway,
    readUsage: await openUsage(client, redis.client),
    settings,
    encryptionKeys: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    prefix: `bench-${randomBytes(4).toString('hex')}`,
    async close() {
      await gateway.close();
      await redis.close();
      await client.end();
      await server.close();
    },
  };
}

async function readSettings(client: pg.Client): Promise<Readonly<Record<string, string>>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    `select name, current_setting(name) as value from pg_settings where name in
      ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers')
     order by name`,
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}
