import { expect } from 'vitest';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import { type JobHarness, openJobHarness } from './job-harness.ts';
import { test as base } from './fixtures.ts';

export type OpenJobHarness = (
  options?: Parameters<typeof openJobHarness>[1],
) => Promise<JobHarness>;

/**
 * Tests with a job harness. At the end of each, the audit trail of its database must have no gap.
 */
export const test = base.extend(
  'openJobHarness',
  async ({ database, door, databaseUrl }, { onCleanup }): Promise<OpenJobHarness> => {
    const harnesses: JobHarness[] = [];
    onCleanup(async () => {
      for (const harness of harnesses) await harness.close();
      expect(await findAuditBreaks(database.db)).toEqual([]);
    });
    return async (options = {}) => {
      const harness = await openJobHarness({ db: database.db, door, databaseUrl }, options);
      harnesses.push(harness);
      return harness;
    };
  },
);
