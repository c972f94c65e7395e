import type { Channel } from '../domain/callback.ts';
import { sql } from 'kysely';
import { AppError } from '../domain/errors.ts';
import { openTokenizationStates } from '../domain/tokenization.ts';
import type { Db } from './connection/database.ts';
import { entities } from './entities.ts';
import { isNotBuried } from './dead-letters.ts';
import type { TokenizationRow } from './rows.ts';
import type { TransitionOutcome, TransitionRequest } from './transition-request.ts';

/** The tokenization with this id. */
export async function findTokenization(db: Db, id: string): Promise<TokenizationRow | undefined> {
  return await db.selectFrom('tokenization').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The tokenization of a merchant reference at one terminal. */
export async function findTokenizationByReference(
  db: Db,
  key: { account: string; terminal: string; merchantReferenceId: string },
): Promise<TokenizationRow | undefined> {
  return await db
    .selectFrom('tokenization')
    .selectAll()
    .where('account', '=', key.account)
    .where('terminal', '=', key.terminal)
    .where('merchant_reference_id', '=', key.merchantReferenceId)
    .executeTakeFirst();
}

/**
 * The tokenization that a message of the gateway is about. It is found by the merchant's reference,
 * by a reference that the worker sent in its place after a lost reply, or, if the message has
 * neither, by the gateway's own reference.
 */
export async function findTokenizationByEvidence(
  db: Db,
  evidence: {
    account: string;
    terminal: string;
    merchantReferenceId: string | undefined;
    orderReferenceId: string | undefined;
  },
): Promise<TokenizationRow | undefined> {
  const ofTerminal = db
    .selectFrom('tokenization')
    .selectAll()
    .where('account', '=', evidence.account)
    .where('terminal', '=', evidence.terminal);
  const reference = evidence.merchantReferenceId;
  if (reference !== undefined) {
    return (
      (await ofTerminal.where('merchant_reference_id', '=', reference).executeTakeFirst()) ??
      (await ofTerminal
        .where('gateway_reference', '=', reference)
        .whereRef('gateway_reference', '<>', 'merchant_reference_id')
        .executeTakeFirst()) ??
      (await ofTerminal
        .where(sql<boolean>`abandoned_references ? ${reference}`)
        // The predicate of the index.
        .where(sql<boolean>`abandoned_references <> '[]'::jsonb`)
        .executeTakeFirst())
    );
  }
  if (evidence.orderReferenceId === undefined) return undefined;
  return await ofTerminal
    .where('order_reference_id', '=', evidence.orderReferenceId)
    .executeTakeFirst();
}

const addressColumns = { redirect: 'redirect_address', notify: 'notify_address' } as const;

/**
 * The tokenization whose per-request callback URL of this channel has an address with this digest.
 */
export async function findTokenizationByAddress(
  db: Db,
  channel: Channel,
  digest: string,
): Promise<TokenizationRow | undefined> {
  return await db
    .selectFrom('tokenization')
    .selectAll()
    .where(addressColumns[channel], '=', digest)
    .executeTakeFirst();
}

/** The tokenization with this id. Throws `tokenization_not_found`. */
export async function getTokenization(db: Db, id: string): Promise<TokenizationRow> {
  const row = await findTokenization(db, id);
  if (row === undefined) {
    throw new AppError('tokenization_not_found', 'No tokenization has this id.');
  }
  return row;
}

/** A tokenization whose next reconcile step is due. */
export type DueTokenization = Pick<TokenizationRow, 'id' | 'state' | 'version'>;

/**
 * Tokenizations in `state` whose `reconcile_at` has passed, the longest overdue first. One state
 * per query: a backlog in one state can't fill the batch and hide the due rows of another.
 */
export async function findDueTokenizations(
  db: Db,
  state: TokenizationRow['state'],
  rowsMax: number,
): Promise<readonly DueTokenization[]> {
  return await db
    .selectFrom('tokenization')
    .select(['id', 'state', 'version'])
    .where('state', '=', state)
    .where('reconcile_at', '<=', sql<Date>`statement_timestamp()`)
    .where(isNotBuried('tokenization', sql`${state === 'requested' ? 'request' : 'confirm'}::text`))
    .orderBy('reconcile_at')
    .limit(rowsMax)
    .execute();
}

/**
 * The number of tokenizations in each state in which the worker is at work on them. Tokens and
 * finished requests are not counted, because their number grows with the years.
 */
export async function countUnfinishedTokenizations(
  db: Db,
): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{ state: string; count: number }>`
    select state, count(*)::integer as count from tokenization
    where state = any(${[...openTokenizationStates, 'disabling']}) group by state`.execute(db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

/** The tokenizations of a merchant reference. References are unique per terminal only. */
export async function findTokenizationsByMerchantReference(
  db: Db,
  merchantReferenceId: string,
): Promise<readonly TokenizationRow[]> {
  return await db
    .selectFrom('tokenization')
    .selectAll()
    .where('merchant_reference_id', '=', merchantReferenceId)
    .execute();
}

/** The state of each of these tokenizations, by id. */
export async function findStates(
  db: Db,
  ids: readonly string[],
): Promise<ReadonlyMap<string, TokenizationRow['state']>> {
  const { rows } = await sql<Pick<TokenizationRow, 'id' | 'state'>>`
    select id, state from tokenization where id = any(${[...ids]}::uuid[])`.execute(db);
  return new Map(rows.map(({ id, state }) => [id, state]));
}

/** The row that a creation wrote, without reading it again. */
export function newRowOf(
  { row: { id }, patch = {}, followedBy = [] }: TransitionRequest<'tokenization'>,
  { version, state, at }: Extract<TransitionOutcome, { isApplied: true }>,
): TokenizationRow {
  const { columns, clockColumns, defaults } = entities.tokenization;
  const absent = Object.fromEntries(columns.map((column) => [column, null]));
  const written: Record<string, unknown> = { ...absent, ...defaults };
  for (const values of [patch, ...followedBy.map((change) => change.patch ?? {})]) {
    for (const [key, value] of Object.entries(values)) {
      const clockColumn = clockColumns.find((column) => key === `${column}_in_ms`);
      if (clockColumn === undefined) written[key] = value;
      else written[clockColumn] = new Date(at.getTime() + Number(value));
    }
  }
  // The statement writes the same columns from the same values.
  return {
    ...written,
    id,
    version,
    state,
    created_at: at,
    updated_at: at,
  } as unknown as TokenizationRow;
}
