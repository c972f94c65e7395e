import { expect } from 'vitest';
import { findAuditBreaks } from '../../../src/db/audit.ts';
import { type Desk, openDesk } from './job-harness.ts';
import { test as base } from './fixtures.ts';

/** Opens the test's desk. */
export type OpenDesk = (options?: Parameters<typeof openDesk>[1]) => Promise<Desk>;

/** Tests with a desk of their own; when one ends, the audit trail of its database has to be without a break. */
export const test = base.extend(
  'openDesk',
  async ({ database, door, databaseUrl }, { onCleanup }): Promise<OpenDesk> => {
    const desks: Desk[] = [];
    onCleanup(async () => {
      for (const desk of desks) await desk.close();
      expect(await findAuditBreaks(database.db)).toEqual([]);
    });
    return async (options = {}) => {
      const desk = await openDesk({ db: database.db, door, databaseUrl }, options);
      desks.push(desk);
      return desk;
    };
  },
);
