import type { TestProject } from 'vitest/node';
import { migrate } from '../../../src/db/connection/migrate.ts';
import { migrateQueueSchema } from '../../../src/queues/postgres-schema.ts';
import { onServer, urlOf } from './database.ts';
import { redisVerdict } from './first-found.ts';
import { findPostgres, findRedis, type Service } from './services.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The URL of the PostgreSQL server, as a user that can create databases. */
    adminUrl: string;
    /** The migrated database that tests clone. */
    templateName: string;
    /** The URL of Redis; empty without Redis. */
    redisUrl: string;
  }
}

const clonePrefix = 'tlw_test_';
const staleAfterMs = 3_600_000;

/** Finds the services once per run, prints them, and prepares the template database. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const started: Service[] = [];
  const stop = async (): Promise<void> => {
    for (const service of started.splice(0).toReversed()) await service.close();
  };
  try {
    const postgres = await findPostgres(process.env);
    started.push(postgres);
    const redis = await findRedis(process.env);
    if (redis !== undefined) started.push(redis);
    console.log(`services: PostgreSQL (${postgres.origin}), Redis (${redis?.origin ?? 'NONE'})`);
    checkRedis(redis !== undefined);
    const templateName = `${clonePrefix}${Date.now()}_${process.pid}`;
    await prepareTemplate(postgres.url, templateName);
    project.provide('adminUrl', postgres.url);
    project.provide('templateName', templateName);
    project.provide('redisUrl', redis?.url ?? '');
    return async () => {
      try {
        await dropDatabases(postgres.url, (name) => `${name}_`.startsWith(`${templateName}_`));
      } finally {
        await stop();
      }
    };
  } catch (error) {
    // Vitest does not call the teardown after a failed set-up.
    await stop();
    throw error;
  }
}

function checkRedis(isFound: boolean): void {
  const verdict = redisVerdict(isFound, process.env);
  const missing = 'No Redis was found, so the queues were NOT tested on Redis.';
  if (verdict === 'fail') throw new Error(`${missing} REQUIRE_REDIS=1 forbids that.`);
  if (verdict === 'skip') {
    console.warn(`\n!!! ${missing} Set TEST_REDIS_URL or install redis-server. !!!\n`);
  }
}

async function prepareTemplate(adminUrl: string, templateName: string): Promise<void> {
  await dropDatabases(adminUrl, isStale);
  await onServer(adminUrl, async (client) => {
    await client.query(`create database ${templateName}`);
  });
  const url = urlOf(adminUrl, templateName);
  await migrate(url);
  await migrateQueueSchema(url);
}

/** Whether a database is left from a killed run. Its name contains the start time of the run. */
function isStale(name: string): boolean {
  const startedAt = Number(name.slice(clonePrefix.length).split('_')[0]);
  return Number.isFinite(startedAt) && Date.now() - startedAt > staleAfterMs;
}

async function dropDatabases(url: string, isToDrop: (name: string) => boolean): Promise<void> {
  await onServer(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      `select datname from pg_database where datname like '${clonePrefix}%'`,
    );
    for (const { datname } of rows.filter((row) => isToDrop(row.datname))) {
      await client.query(`drop database if exists ${datname} with (force)`);
    }
  });
}
