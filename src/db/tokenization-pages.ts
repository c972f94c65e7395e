import { type Expression, sql, type SqlBool } from 'kysely';
import type { TokenizationState } from '../domain/tokenization.ts';
import type { Db } from './database.ts';
import type { TokenizationRow } from './rows.ts';

/** A tokenization and the name of the credential that it was asked for with. */
export type NamedTokenizationRow = TokenizationRow & { readonly credential_name: string };

/** What a look-up by anything but the id may ask for. Blind indexes come under every key of the ring. */
export interface TokenizationLookup {
  readonly merchantReferenceId?: string | undefined;
  readonly orderReferenceId?: string | undefined;
  readonly quickpayIndexes?: readonly string[] | undefined;
  readonly customerIndexes?: readonly string[] | undefined;
  readonly state?: TokenizationState | undefined;
}

/** The tokenization with this id and the name of its credential. */
export async function findNamedTokenization(
  db: Db,
  id: string,
): Promise<NamedTokenizationRow | undefined> {
  return await named(db).where('tokenization.id', '=', id).executeTakeFirst();
}

/** Tokenizations that fit all of the look-up, newest first; with `afterId`, what comes after that one. */
export async function findTokenizationPage(
  db: Db,
  lookup: TokenizationLookup,
  page: { readonly afterId: string | undefined; readonly rowsMax: number },
): Promise<readonly NamedTokenizationRow[]> {
  const { merchantReferenceId, orderReferenceId, quickpayIndexes, customerIndexes, state } = lookup;
  return await named(db)
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

function named(db: Db) {
  return db
    .selectFrom('tokenization')
    .innerJoin('credential', 'credential.id', 'tokenization.credential_id')
    .selectAll('tokenization')
    .select('credential.name as credential_name');
}

/** What a waiting client has to be told of: the state, and whether there is an address to send the customer to. */
export interface TokenizationProgress {
  readonly id: string;
  readonly state: TokenizationState;
  readonly has_redirect_url: boolean;
}

/** How far these tokenizations have come, in one query however many they are. */
export async function findProgress(
  db: Db,
  ids: readonly string[],
): Promise<readonly TokenizationProgress[]> {
  const { rows } = await sql<TokenizationProgress>`
    select id, state, redirect_url is not null as has_redirect_url
    from tokenization where id = any(${[...ids]}::uuid[])`.execute(db);
  return rows;
}
