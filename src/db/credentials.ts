import { sql } from 'kysely';
import type { CredentialFamily } from '../domain/credential.ts';
import { openTokenizationStates } from '../domain/tokenization.ts';
import type { Db } from './connection/database.ts';
import type { CredentialRow } from './rows.ts';

/** The stored credential of this name and family, even a removed one. */
export async function findCredential(
  db: Db,
  name: string,
  family: CredentialFamily,
): Promise<CredentialRow | undefined> {
  return await db
    .selectFrom('credential')
    .selectAll()
    .where('name', '=', name)
    .where('family', '=', family)
    .executeTakeFirst();
}

/** The credential with this id, even a removed one. */
export async function findCredentialById(db: Db, id: string): Promise<CredentialRow | undefined> {
  return await db.selectFrom('credential').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The active Accept Payments credential of an account and terminal. */
export async function findCredentialByAccount(
  db: Db,
  account: string,
  terminal: string,
): Promise<CredentialRow | undefined> {
  return await db
    .selectFrom('credential')
    .selectAll()
    .where('account', '=', account)
    .where('terminal', '=', terminal)
    .where('family', '=', 'accept_payments')
    .where('state', '=', 'active')
    .executeTakeFirst();
}

/**
 * The active OPCard credential of an application under another name than `ownName`. Matches any of
 * the blind indexes of its app key.
 */
export async function findCredentialByAppKey(
  db: Db,
  environment: CredentialRow['environment'],
  appKeyIndexes: readonly string[],
  ownName: string,
): Promise<CredentialRow | undefined> {
  return await db
    .selectFrom('credential')
    .selectAll()
    .where('environment', '=', environment)
    .where('app_key_index', 'in', [...appKeyIndexes])
    .where('family', '=', 'opcard')
    .where('state', '=', 'active')
    .where('name', '<>', ownName)
    .executeTakeFirst();
}

/** A credential that is opened to read its app key. */
export type SealedHolder = Pick<CredentialRow, 'id' | 'name' | 'secrets_sealed'>;

/**
 * The active OPCard credentials under other names than `ownName` whose app key digest was made with
 * none of these encryption keys. There are none until a key is retired.
 */
export async function findCredentialsOfOtherKeys(
  db: Db,
  environment: CredentialRow['environment'],
  keyIds: readonly string[],
  ownName: string,
): Promise<readonly SealedHolder[]> {
  return await db
    .selectFrom('credential')
    .select(['id', 'name', 'secrets_sealed'])
    .where('environment', '=', environment)
    .where('family', '=', 'opcard')
    .where('state', '=', 'active')
    .where(sql`coalesce(split_part(app_key_index, '.', 1), '')`, 'not in', [...keyIds])
    .where('name', '<>', ownName)
    .execute();
}

/** The sealed secrets of the latest active credential, to test encryption keys on. */
export async function findLatestSealedSecrets(
  db: Db,
): Promise<Pick<CredentialRow, 'id' | 'secrets_sealed'> | undefined> {
  return await db
    .selectFrom('credential')
    .select(['id', 'secrets_sealed'])
    .where('state', '=', 'active')
    .orderBy('updated_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The environments that active OPCard credentials belong to. */
export async function findOpcardEnvironments(
  db: Db,
): Promise<readonly CredentialRow['environment'][]> {
  const rows = await db
    .selectFrom('credential')
    .select('environment')
    .distinct()
    .where('family', '=', 'opcard')
    .where('state', '=', 'active')
    .execute();
  return rows.map(({ environment }) => environment);
}

/** Every active credential with its sealed secrets, by name. */
export async function listActiveCredentials(db: Db): Promise<readonly CredentialRow[]> {
  return await db
    .selectFrom('credential')
    .selectAll()
    .where('state', '=', 'active')
    .orderBy('name')
    .orderBy('family')
    .execute();
}

/** A credential as an operator may see it, without secrets. */
export interface ListedCredential extends Pick<
  CredentialRow,
  'name' | 'family' | 'environment' | 'managed_by' | 'account' | 'terminal' | 'state' | 'updated_at'
> {
  readonly tokenState: string | null;
  readonly tokenGeneration: number | null;
  /** Milliseconds until the token expires; null before the first token. */
  readonly tokenLeftMs: number | null;
}

/** Every credential with the state of its access token, by name. */
export async function listCredentials(db: Db): Promise<readonly ListedCredential[]> {
  return await db
    .selectFrom('credential as c')
    .leftJoin('access_token as t', 't.credential_id', 'c.id')
    .select([
      'c.name',
      'c.family',
      'c.environment',
      'c.managed_by',
      'c.account',
      'c.terminal',
      'c.state',
      'c.updated_at',
      't.state as tokenState',
      't.generation as tokenGeneration',
      sql<
        number | null
      >`(extract(epoch from t.expires_at - clock_timestamp()) * 1000)::double precision`.as(
        'tokenLeftMs',
      ),
    ])
    .orderBy('c.name')
    .orderBy('c.family')
    .execute();
}

/**
 * Whether a credential has unfinished tokenizations: the result is missing, the token can be used,
 * or the worker still queries the gateway.
 */
export async function hasOpenOrActiveTokenizations(db: Db, credentialId: string): Promise<boolean> {
  const ofCredential = db
    .selectFrom('tokenization')
    .select('id')
    .where('credential_id', '=', credentialId)
    .limit(1);
  // One query each, since each has an index and the two together have none.
  const usable = ofCredential.where('state', 'in', [
    ...openTokenizationStates,
    'disabling',
    'active',
  ]);
  const reconcilable = ofCredential
    .where('state', 'in', ['failed', 'expired'])
    .where('reconcile_at', 'is not', null);
  return (
    (await usable.executeTakeFirst()) !== undefined ||
    (await reconcilable.executeTakeFirst()) !== undefined
  );
}

/**
 * Whether tokenizations of a credential failed or expired. The gateway may be queried about them
 * again, and may report a late token.
 */
export async function hasReconcilableTokenizations(db: Db, credentialId: string): Promise<boolean> {
  const row = await db
    .selectFrom('tokenization')
    .select('id')
    .where('credential_id', '=', credentialId)
    .where('state', 'in', ['failed', 'expired'])
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

/** How many tokenizations of a credential have no result yet. */
export async function countOpenTokenizations(db: Db, credentialId: string): Promise<number> {
  const row = await db
    .selectFrom('tokenization')
    .select(sql<number>`count(*)::integer`.as('count'))
    .where('credential_id', '=', credentialId)
    .where('state', 'in', [...openTokenizationStates, 'disabling'])
    .executeTakeFirst();
  return row?.count ?? 0;
}
