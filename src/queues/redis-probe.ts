import type { RedisConnection } from './redis.ts';

/** The commands that BullMQ runs on the keys of a queue, most of them inside its scripts. */
export const bullmqCommands: readonly string[] = (
  'bzpopmin del exists get hdel hexists hget hgetall hincrby hlen hmget hmset hset incr incrby ' +
  'lindex llen lpop lpos lpush lrange lrem lset ltrim persist pexpire pexpireat pttl rename ' +
  'rpop rpoplpush rpush sadd scard set sismember smembers srem type unlink xadd xdel xlen xrange ' +
  'xtrim zadd zcard zcount zlexcount zpopmin zrange zrangebylex zrangebyscore zrem ' +
  'zremrangebyrank zremrangebyscore zrevrange zrevrangebyscore zscore'
).split(' ');

/**
 * Asks Redis which of the commands its user may not run on a key, and writes that key. Redis 7 or
 * newer can say so; an older one refuses the first job.
 */
const script = `
local key = KEYS[1]
for _, command in ipairs(ARGV) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(command, key, key, key) then
    return redis.error_reply('NOPERM this user has no permissions to run ' .. command)
  end
end
return redis.call('set', key, '', 'px', 1)`;

/** Proves that BullMQ can work with the keys of a queue. Throws the error of Redis. */
export async function probeQueue(connection: RedisConnection, key: string): Promise<void> {
  await connection.eval(script, 1, key, ...bullmqCommands);
}
