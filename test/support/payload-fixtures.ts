import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { type BackendJobName, backendJobs } from '../../src/domain/backend-jobs.ts';

/** A payload as some backend hands it over, with the job that it is for. */
export interface PayloadFixture {
  readonly job: BackendJobName;
  readonly payload: Readonly<Record<string, unknown>>;
}

const file = z.array(z.record(z.string(), z.unknown())).min(2);

/** The committed payloads of one version. They are what backends out there send, and never change. */
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

/** The JSON value at a path is replaced; undefined removes it. */
export function changed(payload: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const record = { ...(payload as Record<string, unknown>) };
  const inner = changed(record[key], rest, value);
  if (inner === undefined) delete record[key];
  else record[key] = inner;
  return record;
}

/** Where a payload could be wrong: every field that is there, and at each level one that is not. */
export function spots(
  payload: unknown,
  at: readonly string[] = [],
): readonly (readonly string[])[] {
  if (typeof payload !== 'object' || payload === null) return [at];
  const inner = Object.entries(payload).flatMap(([key, value]) => spots(value, [...at, key]));
  return [...(at.length === 0 ? [] : [at]), ...inner, [...at, 'unheardOf']];
}

/** What may stand at such a spot. */
export const oddities: readonly unknown[] = [
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
