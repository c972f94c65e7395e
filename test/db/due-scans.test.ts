import { expect } from 'vitest';
import { findDueAccessTokens, findOverdueAccessTokens } from '../../src/db/access-tokens.ts';
import { findDueCallbacks } from '../../src/db/callbacks.ts';
import type { Db } from '../../src/db/database.ts';
import { findDueDeliveries } from '../../src/db/deliveries.ts';
import { findDueTokenizations } from '../../src/db/tokenizations.ts';
import { explainStatements } from '../support/explain.ts';
import { test } from '../support/harness/fixtures.ts';

/** Every scan for due work, with the instant by which its index is to be searched. */
const scans: Readonly<Record<string, readonly [string, (db: Db) => Promise<unknown>]>> = {
  tokenizations: [
    'reconcile_at <= statement_timestamp()',
    async (db) => await findDueTokenizations(db, 'confirming', 10),
  ],
  callbacks: [
    'due_at <= statement_timestamp()',
    async (db) => await findDueCallbacks(db, 'received', 10),
  ],
  deliveries: ['due_at <= statement_timestamp()', async (db) => await findDueDeliveries(db, 10)],
  'access tokens': [
    'due_at <= statement_timestamp()',
    async (db) => await findDueAccessTokens(db, 10, 1_000),
  ],
  'overdue access tokens': [
    'due_at < (statement_timestamp()',
    async (db) => await findOverdueAccessTokens(db, 1_000, [50], 10),
  ],
};

test('each scan for due work searches its index by the clock and does not read it to its end', async ({
  databaseUrl,
}) => {
  for (const [name, [instant, scan]] of Object.entries(scans)) {
    const [plan] = await explainStatements(databaseUrl, scan, {
      enable_seqscan: 'off',
      enable_bitmapscan: 'off',
    });
    const conditions = [...JSON.stringify(plan).matchAll(/"Index Cond":"([^"]*)"/g)];
    expect(conditions.map(([, condition]) => condition).join(), name).toContain(instant);
  }
});
