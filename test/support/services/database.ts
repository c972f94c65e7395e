import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

/** A migrated, empty database for one test. */
export interface TestDatabase {
  readonly url: string;
  /** Ends every connection to the database and makes its URL invalid. */
  readonly drop: () => Promise<void>;
}

const attemptsMax = 300;
const retryAfterMs = 100;

/** Emptied databases for reuse, since cloning one takes ten times as long as emptying one. */
const emptiedDatabases: string[] = [];

/**
 * Returns a database that this process has emptied, or a clone of the run's migrated template.
 * Throws PostgreSQL's error.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const adminUrl = inject('adminUrl');
  const name = emptiedDatabases.pop() ?? (await cloneTemplate(adminUrl));
  return {
    url: urlOf(adminUrl, name),
    drop: async () => {
      const next = newDatabaseName();
      const isReusable = await disconnectAndRename(adminUrl, name, next);
      if (isReusable && (await emptyDatabase(urlOf(adminUrl, next)))) emptiedDatabases.push(next);
      else await dropDatabase(adminUrl, next);
    },
  };
}

function newDatabaseName(): string {
  return `${inject('templateName')}_${randomBytes(4).toString('hex')}`;
}

async function cloneTemplate(adminUrl: string): Promise<string> {
  const name = newDatabaseName();
  await onServer(adminUrl, async (client) => {
    // One clone at a time, because PostgreSQL refuses two concurrent copies of one template.
    await client.query('select pg_advisory_lock(420042)');
    await retryWhileInUse(async () => {
      await client.query(`create database ${name} template ${inject('templateName')}`);
    });
    // No test needs data to survive a crash of the machine, so none waits for the disk.
    await client.query(`alter database ${name} set synchronous_commit = off`);
  });
  if (fingerprintOfClone === undefined) {
    await onServer(urlOf(adminUrl, name), async (client) => {
      fingerprintOfClone = await readFingerprint(client);
    });
  }
  return name;
}

/**
 * Ends every connection and renames the database, so that its old URL fails. It refuses connections
 * in between, because open workers reconnect at once and PostgreSQL renames no database in use.
 * Returns false if a test left settings or prepared transactions that forbid reuse.
 */
async function disconnectAndRename(adminUrl: string, from: string, to: string): Promise<boolean> {
  let isReusable = false;
  await onServer(adminUrl, async (client) => {
    const { rowCount } = await client.query(
      `select from pg_database where datname = $1 and datallowconn
       and not exists (select from pg_prepared_xacts where database = $1)`,
      [from],
    );
    isReusable = rowCount === 1;
    await client.query(`alter database ${from} allow_connections false`);
    await client.query(
      'select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1',
      [from],
    );
    await retryWhileInUse(async () => {
      await client.query(`alter database ${from} rename to ${to}`);
    });
    await client.query(`alter database ${to} allow_connections true`);
  });
  return isReusable;
}

/**
 * A digest of all objects in the project's schemas, their privileges and the applied migrations.
 */
const fingerprint = `
  select md5(string_agg(line, ',' order by line)) as schema from (
    select concat_ws(' ', oid::regclass, relkind, relnatts, relowner, relacl) from pg_class
    where oid >= 16384
    union all select concat_ws(' ', oid::regprocedure, md5(prosrc), prosecdef, proacl) from pg_proc
    where oid >= 16384
    union all select concat_ws(' ', tgrelid::regclass, tgname, tgenabled) from pg_trigger
    where not tgisinternal
    union all select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint where oid >= 16384
    union all select concat_ws(' ', nspname, nspacl) from pg_namespace where oid >= 16384
    union all select concat_ws(' ', datacl, setrole, setconfig) from pg_database d
    left join pg_db_role_setting s on s.setdatabase = d.oid where datname = current_database()
    union all select name from token_lifecycle.kysely_migration
    union all select version::text from bullmq.migration
  ) as parts (line)`;

let fingerprintOfClone: string | undefined;

async function readFingerprint(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client.query<{ schema: string }>(fingerprint);
  return rows[0]?.schema;
}

/**
 * Deletes every row and restarts every sequence, bypassing triggers that forbid it. Returns false
 * if the schema has changed.
 */
async function emptyDatabase(url: string): Promise<boolean> {
  let isEmpty = false;
  await onServer(url, async (client) => {
    if ((await readFingerprint(client)) !== fingerprintOfClone) return;
    await client.query(`
      do $$
      declare one record;
      begin
        set local session_replication_role = replica;
        for one in
          select oid::regclass as name from pg_class
          where relkind = 'r' and oid >= 16384 and relname not like '%migration%'
        loop
          execute format('delete from %s', one.name);
        end loop;
        perform setval(oid::regclass, 1, false) from pg_class
        where relkind = 'S' and oid >= 16384;
      end $$`);
    isEmpty = true;
  });
  return isEmpty;
}

async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await onServer(adminUrl, async (client) => {
    await client.query(`drop database if exists ${name} with (force)`);
  });
}

/** Runs `use` on a new connection. */
export async function onServer(
  url: string,
  use: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

/** The URL of another database on the same server. */
export function urlOf(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Simulates an outage: ends every connection to the database and refuses new ones. */
export async function setAway(databaseUrl: string, isAway: boolean): Promise<void> {
  const name = new URL(databaseUrl).pathname.slice(1);
  await onServer(urlOf(databaseUrl, 'postgres'), async (client) => {
    await client.query(`alter database ${name} allow_connections ${String(!isAway)}`);
    if (isAway) {
      await client.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
        [name],
      );
    }
  });
}

/**
 * Retries while PostgreSQL says that the database is in use (55006), which autovacuum and closing
 * connections cause too.
 */
async function retryWhileInUse(create: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await create();
      return;
    } catch (error) {
      const isInUse = error instanceof pg.DatabaseError && error.code === '55006';
      if (!isInUse || attempt === attemptsMax) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    }
  }
}
