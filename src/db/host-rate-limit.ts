import { sql } from 'kysely';
import type { Db } from './connection/database.ts';

/** How calls to one host are spaced. */
export interface CallSpacing {
  readonly callsPerSecondMax: number;
  /** Calls are reserved this far ahead at most, in milliseconds. */
  readonly waitMsMax: number;
}

/**
 * A slot is at most one interval beyond the longest wait, and no rate is below one call a second.
 */
const intervalMsMax = 1_000;

/**
 * Reserves the next call to a host for the whole fleet, by GCRA without a burst: one row a host
 * holds the instant of the next free slot. Gives the milliseconds until the reserved slot;
 * undefined where it is too far ahead, and then reserves nothing.
 *
 * The database's clock decides, since those of workers differ. `rate-limiter-flexible` is not used
 * because its PostgreSQL limiter compares the worker's clock, and it counts per fixed window, so
 * twice the limit may fall into one second. BullMQ's own limiter does the same, and knows queues
 * rather than hosts.
 *
 * A slot further ahead than any that is given means that the database's clock was set back: the row
 * starts from now.
 */
export async function reserveCall(
  db: Db,
  host: string,
  { callsPerSecondMax, waitMsMax }: CallSpacing,
): Promise<number | undefined> {
  const now = sql`clock_timestamp()`;
  const interval = milliseconds(1_000 / callsPerSecondMax);
  const nextAt = sql`present.next_call_at`;
  const isSoon = sql`${nextAt} <= ${now} + ${milliseconds(waitMsMax)}`;
  const isImpossible = sql`${nextAt} > ${now} + ${milliseconds(waitMsMax + intervalMsMax)}`;
  const { rows } = await sql<{ waitMs: number }>`
    insert into host_rate_limit as present (host, next_call_at)
    values (${host}, ${now} + ${interval})
    on conflict (host) do update
    set next_call_at = ${interval} + case when ${isImpossible} then ${now} else greatest(${nextAt}, ${now}) end
    where ${isSoon} or ${isImpossible}
    returning (extract(epoch from next_call_at - ${interval} - ${now}) * 1000)::double precision as "waitMs"`.execute(
    db,
  );
  const reserved = rows[0];
  return reserved && Math.max(0, reserved.waitMs);
}

const milliseconds = (count: number) => sql`${count} * interval '1 millisecond'`;
