import { type Expression, sql, type SqlBool } from 'kysely';
import type { TokenizationState } from '../domain/tokenization.ts';
import type { Db } from './connection/database.ts';
import type { TokenizationRow } from './rows.ts';

/** A tokenization with the name of the credential that it uses. */
export type NamedTokenizationRow = TokenizationRow & { readonly credential_name: string };

/**
 * The filter of a tokenization page; every given field has to match. Blind indexes are computed
 * under every key of the ring.
 */
export interface TokenizationLookup {
  readonly merchantReferenceId?: string | undefined;
  readonly orderReferenceId?: string | undefined;
  readonly quickpayIndexes?: readonly string[] | undefined;
  readonly customerIndexes?: readonly string[] | undefined;
  readonly state?: TokenizationState | undefined;
}

/** The tokenization with this id, with the name of its credential. */
export async function findNamedTokenization(
  db: Db,
  id: string,
): Promise<NamedTokenizationRow | undefined> {
  return await selectNamed(db).where('tokenization.id', '=', id).executeTakeFirst();
}

/** Tokenizations that match the filter, newest first; with `afterId`, those after that one. */
export async function findTokenizationPage(
  db: Db,
  lookup: TokenizationLookup,
  page: { readonly afterId: string | undefined; readonly rowsMax: number },
): Promise<readonly NamedTokenizationRow[]> {
  const { merchantReferenceId, orderReferenceId, quickpayIndexes, customerIndexes, state } = lookup;
  return await selectNamed(db)
    .where((eb) => {
      const wanted: Expression<SqlBool>[] = [];
      if (merchantReferenceId !== undefined) {
        wanted.push(eb('merchant_reference_id', '=', merchantReferenceId));
      }
      if (orderReferenceId !== undefined)
        wanted.push(eb('order_reference_id', '=', orderReferenceId));
      if (quickpayIndexes !== undefined) {
        wanted.push(eb('quickpay_id_index', 'in', [...quickpayIndexes]));
      }
      if (customerIndexes !== undefined) {
        wanted.push(eb('customer_index', 'in', [...customerIndexes]));
      }
      if (state !== undefined) wanted.push(eb('tokenization.state', '=', state));
      if (page.afterId !== undefined) {
        wanted.push(sql<SqlBool>`(tokenization.created_at, tokenization.id) <
          (select created_at, id from tokenization where id = ${page.afterId})`);
      }
      return eb.and(wanted);
    })
    .orderBy('tokenization.created_at', 'desc')
    .orderBy('tokenization.id', 'desc')
    .limit(page.rowsMax)
    .execute();
}

function selectNamed(db: Db) {
  return db
    .selectFrom('tokenization')
    .innerJoin('credential', 'credential.id', 'tokenization.credential_id')
    .selectAll('tokenization')
    .select('credential.name as credential_name');
}

/** The progress that a long poll waits for: the state, and whether the redirect URL is known. */
export interface TokenizationProgress {
  readonly id: string;
  readonly state: TokenizationState;
  readonly has_redirect_url: boolean;
}

/** The progress of these tokenizations, in one query. */
export async function findProgress(
  db: Db,
  ids: readonly string[],
): Promise<readonly TokenizationProgress[]> {
  const { rows } = await sql<TokenizationProgress>`
    select id, state, redirect_url is not null as has_redirect_url
    from tokenization where id = any(${[...ids]}::uuid[])`.execute(db);
  return rows;
}
