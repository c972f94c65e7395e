import { describe, expect, test } from 'vitest';
import { candidatesOf, dockerPlace, firstFound, keepsJobs, redisVerdict } from './first-found.ts';

const here = (name: string) => ({ name, look: async () => name });
const absent = (name: string) => ({ name, look: async () => undefined });
const broken = (name: string) => ({
  name,
  look: async () => await Promise.reject(new Error('the image is missing\nsecond line')),
});

describe('service search', () => {
  test('takes the first service found and tries no other', async () => {
    const looked: string[] = [];
    const noted = (name: string, found: string | undefined) => ({
      name,
      look: async () => {
        looked.push(name);
        return found;
      },
    });
    const search = await firstFound([noted('a', undefined), noted('b', 'b'), noted('c', 'c')]);
    expect(search).toEqual({ found: 'b', passedOver: [] });
    expect(looked).toEqual(['a', 'b']);
  });

  test('reports a service that is unusable and continues', async () => {
    expect(await firstFound([broken('a container'), absent('b'), here('c')])).toEqual({
      found: 'c',
      passedOver: ['a container could not be used: the image is missing'],
    });
  });

  test('finds nothing without any service', async () => {
    expect(await firstFound([absent('a')])).toEqual({ found: undefined, passedOver: [] });
  });

  test('never replaces an explicitly named service by another', async () => {
    const search = await firstFound(candidatesOf(broken('TEST_REDIS_URL'), [here('local')]));
    expect(search.found).toBeUndefined();
    expect(search.passedOver).toHaveLength(1);
    expect((await firstFound(candidatesOf(undefined, [here('local')]))).found).toBe('local');
  });
});

test.each([
  ['used_memory:1\r\nmaxmemory_policy:noeviction\r\nx:1', true],
  ['maxmemory_policy:allkeys-lru\r\n', false],
  ['', false],
])('Redis with INFO %j never evicts keys: %s', (info, expected) => {
  expect(keepsJobs(info)).toBe(expected);
});

test('a run without Redis continues with a warning, unless REQUIRE_REDIS is set', () => {
  expect(redisVerdict(true, { REQUIRE_REDIS: '1' })).toBe('run');
  expect(redisVerdict(false, {})).toBe('skip');
  expect(redisVerdict(false, { REQUIRE_REDIS: '1' })).toBe('fail');
});

test.each([
  [undefined, { path: '/var/run/docker.sock' }],
  ['unix:///run/user/1000/docker.sock', { path: '/run/user/1000/docker.sock' }],
  ['tcp://10.0.0.1:2376', { host: '10.0.0.1', port: 2376 }],
  ['ssh://somewhere', undefined],
  ['nonsense', undefined],
])('DOCKER_HOST %j is probed at %j', (host, place) => {
  expect(dockerPlace(host)).toEqual(place);
});
