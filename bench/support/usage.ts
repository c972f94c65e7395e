import { readdirSync, readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type pg from 'pg';

/** What a run may use up: CPU in milliseconds, and bytes of WAL. */
export interface Usage {
  readonly workerMs: number;
  /** Of the server and all processes below it. Not a number where it runs elsewhere. */
  readonly postgresMs: number;
  readonly redisMs: number;
  readonly walBytes: number;
}

/** Reads what has been used so far. */
export type ReadUsage = (workerPids: readonly number[]) => Promise<Usage>;

/** Linux counts the CPU time of processes in hundredths of a second. */
const msPerTick = 10;

/** Finds the servers' processes once. They must run on this machine, and on Linux. */
export async function openUsage(client: pg.Client, redis: Redis): Promise<ReadUsage> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const backend = readProcess(rows[0]?.pid ?? 0);
  const postmaster = backend?.name.startsWith('postgres') === true ? backend.parent : undefined;
  const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  const hasLocalRedis = readProcess(redisPid)?.name.startsWith('redis') === true;
  return async (workerPids) => {
    const wal = await client.query<{ bytes: number }>(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes`,
    );
    return {
      workerMs: workerPids.reduce((sum, pid) => sum + (readProcess(pid)?.ownMs ?? Number.NaN), 0),
      postgresMs: postmaster === undefined ? Number.NaN : familyMs(postmaster),
      redisMs: hasLocalRedis ? (readProcess(redisPid)?.ownMs ?? Number.NaN) : Number.NaN,
      walBytes: wal.rows[0]?.bytes ?? Number.NaN,
    };
  };
}

/** What was used between two readings. */
export function usedBetween(before: Usage, after: Usage): Usage {
  return {
    workerMs: after.workerMs - before.workerMs,
    postgresMs: after.postgresMs - before.postgresMs,
    redisMs: after.redisMs - before.redisMs,
    walBytes: after.walBytes - before.walBytes,
  };
}

interface ProcessTimes {
  readonly name: string;
  readonly parent: number;
  readonly ownMs: number;
  /** Of children that have ended. */
  readonly endedMs: number;
}

function readProcess(pid: number): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in parentheses and may contain spaces; numbers follow it.
    const end = stat.lastIndexOf(')');
    const fields = stat.slice(end + 2).split(' ');
    const ms = (index: number): number => Number(fields[index]) * msPerTick;
    return {
      name: stat.slice(stat.indexOf('(') + 1, end),
      parent: Number(fields[1]),
      ownMs: ms(11) + ms(12),
      endedMs: ms(13) + ms(14),
    };
  } catch {
    return undefined;
  }
}

/** The CPU time of a server and its children, those that have ended included. */
function familyMs(server: number): number {
  const own = readProcess(server);
  if (own === undefined) return Number.NaN;
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((child) => child?.parent === server);
  return children.reduce((sum, child) => sum + (child?.ownMs ?? 0), own.ownMs + own.endedMs);
}
