import { expect, inject, test } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';
import { migrate } from '../../src/db/connection/migrate.ts';
import { migrations } from '../../src/db/connection/migrations.ts';
import { migrateQueueSchema } from '../../src/queues/postgres-schema.ts';
import { onServer, urlOf } from '../support/services/database.ts';

test('concurrent migrations of an empty database, with queues on it, all succeed', async ({
  onTestFinished,
}) => {
  const adminUrl = inject('adminUrl');
  const name = `${inject('templateName')}_empty`;
  await onServer(adminUrl, async (client) => void (await client.query(`create database ${name}`)));
  onTestFinished(async () => {
    await onServer(adminUrl, async (client) => {
      await client.query(`drop database ${name} with (force)`);
    });
  });
  const url = urlOf(adminUrl, name);
  const migrateAll = async (): Promise<number> => {
    const { applied } = await migrate(url);
    await migrateQueueSchema(url);
    return applied.length;
  };
  const applied = await Promise.all(Array.from({ length: 6 }, migrateAll));
  // Each migration commits by itself, so the processes share them; none is applied twice.
  const sum = applied.reduce((total, count) => total + count, 0);
  expect(sum).toBe(Object.keys(migrations).length);
  // A deployment runs the migration again each time, in as many processes.
  await Promise.all(Array.from({ length: 6 }, migrateAll));
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ may: boolean }>(
      `select has_table_privilege('token_lifecycle_app', 'bullmq.job', 'insert') as may`,
    );
    expect(rows).toEqual([{ may: true }]);
  });
});
