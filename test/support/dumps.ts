import { Redis } from 'ioredis';
import { inject } from 'vitest';
import { withClient } from '../../src/db/connection/database.ts';

/** All rows of our tables and of BullMQ's, as text. */
export async function dumpDatabase(databaseUrl: string): Promise<string> {
  return await withClient(databaseUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname in ('token_lifecycle', 'bullmq')`,
    );
    const contents: string[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      contents.push(...rows.map(({ row }) => row));
    }
    return contents.join('\n');
  });
}

/** All keys with this prefix and their values, as text. */
export async function dumpRedis(prefix: string): Promise<string> {
  const client = new Redis(inject('redisUrl'));
  try {
    const keys = await client.keys(`${prefix}*`);
    const contents: string[] = [...keys];
    for (const key of keys) {
      const type = await client.type(key);
      if (type === 'hash') contents.push(JSON.stringify(await client.hgetall(key)));
      else if (type === 'stream') contents.push(JSON.stringify(await client.xrange(key, '-', '+')));
      else if (type === 'list') contents.push(JSON.stringify(await client.lrange(key, 0, -1)));
      else if (type === 'zset') contents.push(JSON.stringify(await client.zrange(key, '0', '-1')));
      else if (type === 'string') contents.push((await client.get(key)) ?? '');
    }
    return contents.join('\n');
  } finally {
    client.disconnect();
  }
}
