import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

/** A migrated, empty database of one test's own. */
export interface TestDatabase {
  readonly url: string;
  /** Ends every connection to it; its name opens nothing any more. */
  readonly drop: () => Promise<void>;
}

const attemptsMax = 20;
const retryAfterMs = 100;

/** Emptied databases of this process: a clone takes ten times as long as emptying one. */
const emptied: string[] = [];

/**
 * Hands out a database that this process has emptied, or else a clone of the run's migrated template. Throws what PostgreSQL
 * says when it cannot.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const adminUrl = inject('adminUrl');
  const name = emptied.pop() ?? (await cloneTemplate(adminUrl));
  return {
    url: urlOf(adminUrl, name),
    drop: async () => {
      const next = newName();
      const isReusable = await takeAway(adminUrl, name, next);
      if (isReusable && (await empty(urlOf(adminUrl, next)))) emptied.push(next);
      else await dropDatabase(adminUrl, next);
    },
  };
}

function newName(): string {
  return `${inject('templateName')}_${randomBytes(4).toString('hex')}`;
}

async function cloneTemplate(adminUrl: string): Promise<string> {
  const name = newName();
  await onServer(adminUrl, async (client) => {
    // One clone at a time: PostgreSQL refuses to copy a database that somebody else is copying.
    await client.query('select pg_advisory_lock(420042)');
    await whileInUse(async () => {
      await client.query(`create database ${name} template ${inject('templateName')}`);
    });
    // No test pulls the plug of the machine, so none has to wait for its disk.
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
 * Ends every connection and renames the database, so that whoever still knows its old name finds nothing there. Nobody may come back
 * meanwhile: a worker that is still open does so at once, and nothing can be renamed that is in use. False where a test has
 * left it in a state of its own.
 */
async function takeAway(adminUrl: string, from: string, to: string): Promise<boolean> {
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
    await whileInUse(async () => {
      await client.query(`alter database ${from} rename to ${to}`);
    });
    await client.query(`alter database ${to} allow_connections true`);
  });
  return isReusable;
}

/** What every schema of the project consists of, whoever may use it, and which migrations were applied. */
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

/** Removes every row and starts every sequence anew, past triggers that forbid it. False where the schema has changed. */
async function empty(url: string): Promise<boolean> {
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

/** Runs something on a connection of its own. */
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

/** The same server, another database. */
export function urlOf(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Ends every connection to the database and refuses new ones, as a server that restarts does. */
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

/** Tries again while PostgreSQL calls the template in use (55006): autovacuum and closing connections count as users. */
async function whileInUse(create: () => Promise<void>): Promise<void> {
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
