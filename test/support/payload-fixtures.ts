import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type BackendJobName, backendJobs } from '../../src/domain/payload/backend-jobs.ts';

/** A payload that a backend might send, with the name of its job. */
export interface PayloadFixture {
  readonly job: BackendJobName;
  readonly payload: Readonly<Record<string, unknown>>;
}

const file = z.array(z.record(z.string(), z.unknown())).min(2);

/** The committed payloads of one version. They never change, since deployed backends send them. */
export async function payloadFixtures(version: 1): Promise<readonly PayloadFixture[]> {
  const fixtures = await Promise.all(
    Object.keys(backendJobs).map(async (name) => {
      const job = name as BackendJobName;
      const url = new URL(`../fixtures/payloads/v${version}/${job}.json`, import.meta.url);
      const payloads = file.parse(JSON.parse(await readFile(url, 'utf8')));
      return payloads.map((payload) => ({ job, payload }));
    }),
  );
  return fixtures.flat();
}

/** Replaces the JSON value at a path; undefined removes it. */
export function withValueAt(payload: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const record = { ...(payload as Record<string, unknown>) };
  const inner = withValueAt(record[key], rest, value);
  if (inner === undefined) delete record[key];
  else record[key] = inner;
  return record;
}

/**
 * The paths where a payload can be wrong: each of its fields, and an unknown field at each level.
 */
export function mutablePaths(
  payload: unknown,
  at: readonly string[] = [],
): readonly (readonly string[])[] {
  if (typeof payload !== 'object' || payload === null) return [at];
  const inner = Object.entries(payload).flatMap(([key, value]) =>
    mutablePaths(value, [...at, key]),
  );
  return [...(at.length === 0 ? [] : [at]), ...inner, [...at, 'unknownField']];
}

/** Unexpected values to put at such a path. */
export const oddValues: readonly unknown[] = [
  undefined,
  null,
  '',
  'x',
  1,
  -1,
  true,
  [],
  {},
  'x'.repeat(70_000),
  ' ',
  '0',
  '0.00',
];
