import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';

const complete = {
  DATABASE_URL: 'postgres://worker@db:5432/tokens',
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
};

function load(env: Readonly<Record<string, string>>): string | ReturnType<typeof loadConfig> {
  try {
    return loadConfig({ ...complete, ...env });
  } catch (error) {
    return error instanceof Error ? error.message.split('\n  ').slice(1).join('\n') : '';
  }
}

describe('REDIS_URL', () => {
  test.each([
    ['redis://hunter2@redis', 'give the password too; without a user, write redis://:password@'],
    ['redis://:hun#ter2@redis:6379', 'encode a # in a password as %23'],
    ['redis://:hun/ter2@redis:6379', 'encode /, ?, @ and : in a password'],
    ['redis://:hun%ter2@redis:6379', 'encode a % in user or password as %25'],
    ['redis://:hun,ter2@redis:6379', 'encode /, ?, @ and : in a password'],
    ['redis://redis:6379,redis2:6379', 'encode a comma in a password as %2C'],
    ['redis://redis:6379/tokens', 'or the number of a database'],
    ['redis://redis:6379/0/1', 'or the number of a database'],
    ['redis://redis:6379?tls=true', 'rediss:// asks for TLS'],
    ['redis:///0', 'name the host'],
    ['"redis://redis:6379"', 'leave out the quotation marks'],
    ['redis://redis: 6379', 'leave out the white space'],
    ['redis.example.com:6379', 'give URLs of the form redis://host:port'],
    ['https://redis.example.com', 'give URLs of the form redis://host:port'],
    ['redis://r1/1,redis://r2/1', 'leave out the number of the database'],
    ['redis://r1,rediss://r2', 'give all nodes of the cluster the same scheme'],
    ['redis://:a@r1,redis://:b@r2', 'give all nodes of the cluster the same scheme'],
  ])('%s is refused by name, without its value', (url, fault) => {
    const message = load({ REDIS_URL: url });
    expect(message).toContain(`REDIS_URL: `);
    expect(message).toContain(fault);
    expect(message).not.toContain('hunter2');
  });

  test.each([
    'redis://redis',
    'rediss://user:p%2Fw@redis:6380/15',
    'redis://:p%40w@[::1]:6379/',
    'redis://10.0.0.1:6379',
    'rediss://:pw@r1,rediss://:pw@r2:7000',
  ])('%s is accepted', (url) => {
    expect(load({ REDIS_URL: url })).toMatchObject({ queue: { backend: 'redis' } });
  });
});

describe('Sentinels', () => {
  test('need the name of the primary, and choose the backend', () => {
    const sentinels = { REDIS_SENTINELS: 's1:26379, rediss://:pw@s2:26379' };
    expect(load(sentinels)).toBe(
      'REDIS_SENTINEL_NAME: set it too, or none of REDIS_SENTINELS, REDIS_SENTINEL_NAME',
    );
    const named = { ...sentinels, REDIS_SENTINEL_NAME: 'orders' };
    expect(load(named)).toMatchObject({
      queue: {
        backend: 'redis',
        redis: {
          urls: [],
          sentinels: {
            addresses: ['redis://s1:26379', 'rediss://:pw@s2:26379'],
            name: 'orders',
          },
        },
      },
    });
    expect(load({ ...named, REDIS_URL: 'redis://r1,redis://r2' })).toContain(
      'REDIS_URL: give one URL; with REDIS_SENTINELS it names no cluster',
    );
    expect(load({ ...named, REDIS_SENTINELS: 's1/0/1' })).toContain('REDIS_SENTINELS: ');
  });
});
