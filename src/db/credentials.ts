import type { CredentialFamily } from '../domain/credential.ts';
import type { Db } from './database.ts';
import type { CredentialRow } from './rows.ts';

/** The stored credential of this name and family, removed ones included. */
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

/** The credential with this id, if there is one. */
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
