import { sql } from 'kysely';
import type { Db } from './connection/database.ts';
import type { TokenizationRow } from './rows.ts';

/**
 * The tokenizations that a message names by any of its words: by QuickPay ID or the gateway's
 * reference, then by the merchant's reference together with the account or terminal. At most
 * `rowsMax`, the most certain first. Each part uses an index.
 */
export async function findNamedTokenizations(
  db: Db,
  named: { readonly words: readonly string[]; readonly quickpayIndexes: readonly string[] },
  rowsMax: number,
): Promise<readonly TokenizationRow[]> {
  const words = sql`${[...named.words]}::text[]`;
  const { rows } = await sql<{ id: string }>`
    with word as materialized (select distinct unnest(${words}) as word),
    named as (
      select t.id, 1 as certainty, 64 as length from tokenization t
      where t.quickpay_id_index = any(${[...named.quickpayIndexes]}::text[])
      union all
      select t.id, 1, 64 from tokenization t where t.order_reference_id = any(${words})
      union all
      select t.id, 2, length(t.merchant_reference_id) from word w
      join tokenization t on t.merchant_reference_id = w.word
      where t.account = any(${words}) or t.terminal = any(${words})
      union all
      select t.id, 2, length(t.gateway_reference) from word w
      join tokenization t
        on t.gateway_reference = w.word and t.gateway_reference <> t.merchant_reference_id
      where t.account = any(${words}) or t.terminal = any(${words})
      union all
      select t.id, 2, length(w.word) from word w
      join tokenization t
        on t.abandoned_references ? w.word and t.abandoned_references <> '[]'::jsonb
      where t.account = any(${words}) or t.terminal = any(${words})
    )
    select id from named group by id order by min(certainty), max(length) desc, id
    limit ${rowsMax}`.execute(db);
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const found = await db.selectFrom('tokenization').selectAll().where('id', 'in', ids).execute();
  return found.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id));
}
