import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { accessTokenRefreshPayload } from '../../../src/domain/payload/job-payloads.ts';
import { payloadVersions } from '../../../src/domain/payload/payload-versions.ts';
import { type AnyJob, defineJob, done } from '../../../src/execution/define-job.ts';
import { executeJob } from '../../../src/execution/execute-job.ts';
import type { JobDependencies } from '../../../src/execution/dependencies.ts';
import { findJob } from '../../../src/jobs/registry.ts';
import { withValueAt, payloadFixtures } from '../../support/payload-fixtures.ts';

const fixtures = await payloadFixtures(1);

/** A possible second version of `access-token.refresh`, with a renamed and an added field. */
const nextRefreshPayload = payloadVersions(
  { v: 1, schema: accessTokenRefreshPayload },
  {
    v: 2,
    schema: z.strictObject({
      v: z.literal(2),
      credentialName: z.string().regex(/^[a-z0-9_-]+$/),
      generation: z.int().min(0).optional(),
      reason: z.enum(['due', 'unauthorized']),
    }),
    upgrade: ({ credential, generation }) => ({
      v: 2 as const,
      credentialName: credential,
      reason: 'due' as const,
      ...(generation === undefined ? {} : { generation }),
    }),
  },
);

const seen: z.output<typeof nextRefreshPayload>[] = [];
const nextRefresh = defineJob({
  name: 'access-token.refresh',
  queue: 'access-token',
  payload: nextRefreshPayload,
  retry: { attemptsMax: 1, baseMs: 1, capMs: 1 },
  timeoutMs: 1_000,
  emits: [],
  run: async (payload) => {
    seen.push(payload);
    return await Promise.resolve(done('seen'));
  },
});

async function run(job: AnyJob, payload: unknown) {
  return await executeJob(
    job,
    {
      job: { queue: job.queue, name: job.name, id: 'raw-1', attempt: 1 },
      payload,
      signal: new AbortController().signal,
      replacePayload: async () => await Promise.resolve(),
    },
    {} as JobDependencies,
  );
}

describe('payload version', () => {
  test.each(fixtures)('1 of $job is accepted by the current job', ({ job, payload }) => {
    expect(findJob(job)?.parse(payload)).toMatchObject({ success: true });
  });

  test.each(fixtures)('that $job does not know is refused with the path v', async (fixture) => {
    const job = findJob(fixture.job);
    if (job === undefined) throw new Error('no such job');
    for (const v of [0, 2, 1.5]) {
      expect(await run(job, { ...fixture.payload, v })).toEqual({
        kind: 'cancel',
        code: 'payload_version_unsupported',
        paths: ['v'],
      });
    }
    for (const v of [undefined, '1', null]) {
      const outcome = await run(job, withValueAt(fixture.payload, ['v'], v));
      expect(outcome).toMatchObject({ code: 'payload_invalid', paths: ['v'] });
    }
  });

  test('2 also accepts payloads of version 1 and converts them', async () => {
    const first = fixtures.filter(({ job }) => job === 'access-token.refresh');
    for (const { payload } of first) await run(nextRefresh, payload);
    await run(nextRefresh, { v: 2, credentialName: 'default', reason: 'unauthorized' });
    expect(seen).toEqual([
      { v: 2, credentialName: 'default', reason: 'due' },
      { v: 2, credentialName: 'second-shop', generation: 0, reason: 'due' },
      { v: 2, credentialName: 'default', reason: 'unauthorized' },
    ]);
  });

  test('2 refuses a payload with the paths of the version that it names', async () => {
    for (const v of [0, 3]) {
      expect(await run(nextRefresh, { v, credential: 'default' })).toEqual({
        kind: 'cancel',
        code: 'payload_version_unsupported',
        paths: ['v'],
      });
    }
    expect(await run(nextRefresh, { v: 1, credential: 'NOT A NAME' })).toEqual({
      kind: 'cancel',
      code: 'payload_invalid',
      paths: ['credential'],
    });
    expect(await run(nextRefresh, { v: 2, credentialName: 'x', reason: 'whim' })).toEqual({
      kind: 'cancel',
      code: 'payload_invalid',
      paths: ['reason'],
    });
  });

  test('can not be skipped', () => {
    const schema = z.strictObject({ v: z.literal(3) });
    expect(() =>
      payloadVersions(
        { v: 1, schema: z.strictObject({ v: z.literal(1) }) },
        { v: 3, schema, upgrade: () => ({ v: 3 as const }) },
      ),
    ).toThrow('must be consecutive');
  });
});
