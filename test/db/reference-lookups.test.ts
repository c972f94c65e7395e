import { sql } from 'kysely';
import { expect } from 'vitest';
import type { Db } from '../../src/db/connection/database.ts';
import { findNamedTokenizations } from '../../src/db/named-tokenizations.ts';
import { findTokenizationByEvidence, getTokenization } from '../../src/db/tokenizations.ts';
import { addCredential, addTokenization } from '../support/builders.ts';
import { pagesRead } from '../support/buffers.ts';
import { test } from '../support/harness/fixtures.ts';

/** Copies a tokenization `count` times; one copy in a hundred was sent under two references. */
async function copyTokenization(db: Db, id: string, count: number): Promise<void> {
  await sql`
    insert into tokenization
    select copy.* from tokenization t, generate_series(1, ${count}::integer) n,
      jsonb_populate_record(t, jsonb_build_object(
        'id', gen_random_uuid(), 'merchant_reference_id', 'order-' || n,
        'gateway_reference', case when n % 100 = 0 then 'second-' || n else 'order-' || n end,
        'abandoned_references', case when n % 100 = 0 then jsonb_build_array('first-' || n) else '[]' end)) copy
    where t.id = ${id}`.execute(db);
}

test('a message about an abandoned or an unknown reference reads a few pages, however many tokenizations there are', async ({
  database: { db },
  door,
  databaseUrl,
}) => {
  const id = await addTokenization(door, await addCredential(door));
  const { account, terminal } = await getTokenization(db, id);
  await copyTokenization(db, id, 20_000);
  const evidence = { account, terminal, orderReferenceId: undefined };
  const lookups: Readonly<Record<string, (found: Db, reference: string) => Promise<unknown>>> = {
    evidence: async (found, merchantReferenceId) =>
      await findTokenizationByEvidence(found, { ...evidence, merchantReferenceId }),
    words: async (found, reference) => {
      const words = [account, terminal, reference, 'some', 'other', 'words'];
      return (await findNamedTokenizations(found, { words, quickpayIndexes: [] }, 3))[0];
    },
  };
  for (const [name, lookup] of Object.entries(lookups)) {
    const pages = await pagesRead(databaseUrl, async (found) => {
      expect(await lookup(found, 'first-700'), name).toMatchObject({
        merchant_reference_id: 'order-700',
      });
      expect(await lookup(found, 'never-sent'), name).toBeUndefined();
    });
    // A scan of the table reads more than 400.
    expect(pages, name).toBeLessThan(300);
  }
});
