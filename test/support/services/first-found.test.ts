import { describe, expect, test } from 'vitest';
import { candidatesOf, dockerPlace, firstFound, keepsJobs, redisVerdict } from './first-found.ts';

const here = (name: string) => ({ name, look: async () => name });
const absent = (name: string) => ({ name, look: async () => undefined });
const broken = (name: string) => ({
  name,
  look: async () => await Promise.reject(new Error('the image is missing\nsecond line')),
});

describe('the search for services', () => {
  test('takes the first that is there and looks no further', async () => {
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

  test('says what was there and could not be used, and goes on', async () => {
    expect(await firstFound([broken('a container'), absent('b'), here('c')])).toEqual({
      found: 'c',
      passedOver: ['a container could not be used: the image is missing'],
    });
  });

  test('finds nothing where there is nothing', async () => {
    expect(await firstFound([absent('a')])).toEqual({ found: undefined, passedOver: [] });
  });

  test('never leaves a service that was named for another one', async () => {
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
])('a Redis with INFO %j keeps jobs: %s', (info, expected) => {
  expect(keepsJobs(info)).toBe(expected);
});

test('without Redis a run goes on with a warning, unless Redis is required', () => {
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
])('the engine at DOCKER_HOST %j is probed at %j', (host, place) => {
  expect(dockerPlace(host)).toEqual(place);
});
