import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import {
  type Database,
  openDatabase,
  proveDatabaseWrite,
} from '../../../src/db/connection/database.ts';
import { isDatabaseOutage } from '../../../src/db/connection/faults.ts';
import { migrate } from '../../../src/db/connection/migrate.ts';
import { eventually } from '../../support/eventually.ts';
import { runCli } from '../../support/harness/run-cli.ts';
import { onServer } from '../../support/services/database.ts';
import { openMovableAddress } from '../../support/services/movable-address.ts';
import { type PostgresPair, startPostgresPair } from '../../support/services/postgres-servers.ts';
import { generateEncryptionKey } from '../../../src/security/keyring.ts';

let pair: PostgresPair;

beforeAll(async () => {
  pair = await startPostgresPair(async (url) => {
    await migrate(url);
    await onServer(url, async (client) => {
      await client.query('create table token_lifecycle.probe (id serial)');
      await client.query('grant all on token_lifecycle.probe to token_lifecycle_app');
      await client.query(
        'grant all on sequence token_lifecycle.probe_id_seq to token_lifecycle_app',
      );
    });
  });
});

afterAll(async () => await pair.close());

async function open(url: string): Promise<Database> {
  const database = await openDatabase({ url, poolSizeMax: 3 });
  onTestFinished(database.close);
  return database;
}

/** Writes a row; resolves to the fault, or to undefined. */
async function write({ db }: Database): Promise<Error | undefined> {
  try {
    await sql`insert into probe default values`.execute(db);
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

async function openAndClose(url: string): Promise<Database> {
  const database = await openDatabase({ url, poolSizeMax: 1 });
  await database.close();
  return database;
}

test('after a failover to a server that is still a standby, the worker waits and then writes there', async () => {
  const { primary, standby } = pair;
  const address = await openMovableAddress(primary.port);
  const url = new URL(primary.url);
  url.port = String(address.port);
  const database = await open(url.href);
  expect(await write(database)).toBeUndefined();

  address.leadTo(standby.port);
  address.cut();
  const fault = await eventually('a write is refused as 25006', async () => {
    const error = await write(database);
    return error?.message.includes('25006') === true ? error : undefined;
  });
  expect(isDatabaseOutage(fault)).toBe(true);
  await onServer(standby.url, async (client) => void (await client.query('select pg_promote()')));
  await eventually('writes are taken again', async () => (await write(database)) === undefined);
});

test('a server that turns read-only loses all connections of a pool at the first refused write, busy ones too', async () => {
  const database = await open(pair.primary.url);
  const admin = new pg.Client({ connectionString: pair.primary.url });
  await admin.connect();
  onTestFinished(async () => await admin.end());
  const setReadOnly = async (value: 'on' | 'off'): Promise<void> => {
    await admin.query(`set default_transaction_read_only = off`);
    await admin.query(`alter system set default_transaction_read_only = ${value}`);
    await admin.query('select pg_reload_conf()');
  };
  const busy = sql`select pg_sleep(60)`.execute(database.db).catch((error: unknown) => error);
  expect(await write(database)).toBeUndefined();
  await proveDatabaseWrite(database.db);
  await setReadOnly('on');
  await eventually('the probe is refused', async () => {
    return await proveDatabaseWrite(database.db).then(() => false, isDatabaseOutage);
  });
  await eventually('a write is refused', async () => (await write(database)) !== undefined);
  expect(isDatabaseOutage(await busy)).toBe(true);
  await setReadOnly('off');
  await eventually('writes are taken again', async () => (await write(database)) === undefined);
});

test('an owner with CREATEROLE and no superuser migrates, and its worker runs as the application role', async () => {
  const owner = new URL(pair.primary.url);
  owner.username = 'owner';
  owner.pathname = '/owned';
  await onServer(pair.primary.url, async (client) => {
    // As managed services hand out; the role of another owner's database must not stand in its way.
    await client.query(`drop owned by token_lifecycle_app; drop role token_lifecycle_app`);
    await client.query(`create role owner login createrole createdb password 'hunter2'`);
    await client.query('create database owned owner owner');
  });
  await migrate(owner.href);
  const database = await openDatabase({ url: owner.href, poolSizeMax: 1 });
  try {
    expect(database.isRestricted).toBe(true);
    const { rows } = await sql`select current_user as user`.execute(database.db);
    expect(rows).toEqual([{ user: 'token_lifecycle_app' }]);
  } finally {
    await database.close();
  }

  // As an earlier version left it: a member of the role without the right to SET it.
  await onServer(pair.primary.url, async (client) => {
    await client.query('revoke token_lifecycle_app from owner granted by owner');
  });
  const env = {
    DATABASE_URL: owner.href,
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
  };
  const doctor = await runCli(['doctor'], env);
  expect(doctor.output).toContain('grant token_lifecycle_app to owner');
  expect(doctor.output).not.toContain('    at ');
  expect(await runCli(['migrate'], env)).toMatchObject({ code: 0 });
  expect((await openAndClose(owner.href)).isRestricted).toBe(true);
});
