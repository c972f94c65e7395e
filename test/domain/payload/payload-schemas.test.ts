import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import {
  type BackendJobName,
  backendJobs,
  payloadJsonSchema,
} from '../../../src/domain/payload/backend-jobs.ts';
import { undescribedProperties } from '../../support/undescribed.ts';
import {
  withValueAt,
  oddValues,
  payloadFixtures,
  mutablePaths,
} from '../../support/payload-fixtures.ts';

const names = Object.keys(backendJobs) as BackendJobName[];
const fixtures = await payloadFixtures(1);

/** Compiles the published schema alone, in strict mode, as a backend would. */
function validator(name: BackendJobName) {
  const ajv = new Ajv2020({ strict: true });
  addFormats.default(ajv);
  return ajv.compile(payloadJsonSchema(name));
}

describe('published JSON Schema', () => {
  test.each(names)('schemas/%s.json is generated from the payload schema', async (name) => {
    const text = `${JSON.stringify(payloadJsonSchema(name), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(`../../../schemas/${name}.json`);
  });

  test.each(names)('of %s describes each field', (name) => {
    expect(undescribedProperties(payloadJsonSchema(name))).toEqual([]);
    expect(undescribedProperties({ properties: { a: { type: 'string' } } })).toEqual(['/a']);
  });

  test('exists for each job that a backend may add, and for no other', async () => {
    const files = await readdir(new URL('../../../schemas', import.meta.url));
    expect(files.toSorted()).toEqual(names.map((name) => `${name}.json`).toSorted());
  });

  test.each(fixtures)('accepts the committed payloads of $job', ({ job, payload }) => {
    expect(validator(job)(payload)).toBe(true);
  });

  test.each(names)('accepts and refuses the same payloads of %s as the worker', (name) => {
    const validate = validator(name);
    let refused = 0;
    for (const { payload } of fixtures.filter(({ job }) => job === name)) {
      for (const path of mutablePaths(payload)) {
        // PostgreSQL itself refuses the first two in the JSON of `token_lifecycle.enqueue`.
        for (const value of ['a\0b', 'a\ud800', '\udc00', 'a😀b', ...oddValues]) {
          const odd = withValueAt(payload, path, value);
          const isAccepted = backendJobs[name].payload.safeParse(odd).success;
          refused += isAccepted ? 0 : 1;
          expect(validate(odd), `${path.join('.')}: ${JSON.stringify(value)?.slice(0, 9)}`).toBe(
            isAccepted,
          );
        }
      }
    }
    expect(refused).toBeGreaterThan(20);
  });
});
