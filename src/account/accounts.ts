import { createCache, type Loaded, notStored } from '../cache/cache.ts';
import type { Db } from '../db/connection/database.ts';
import { findCredential, findCredentialByAccount, findCredentialById } from '../db/credentials.ts';
import type { CredentialRow, TokenizationRow } from '../db/rows.ts';
import { AppError } from '../domain/errors.ts';
import type { Keyring } from '../security/keyring.ts';
import { openAccount, type SigningAccount } from './open-account.ts';

/** An Accept Payments credential. */
export interface StoredAccount {
  readonly credential: CredentialRow;
  /** Opens it, once. Throws `key_unknown` or `seal_broken`. */
  readonly open: () => SigningAccount;
}

/** Whether a credential allows what its reader is about to do. */
export type Suffices = (stored: StoredAccount) => boolean;

/**
 * The Accept Payments credentials of a process, opened. A kept credential may be outdated, so one
 * that does not suffice is read again before the reader refuses anything because of it.
 */
export interface Accounts {
  /** The credential of this name, even a removed one. */
  readonly findByName: (name: string, suffices?: Suffices) => Promise<StoredAccount | undefined>;
  /** The credential with this id, even a removed one. */
  readonly findById: (id: string, suffices?: Suffices) => Promise<StoredAccount | undefined>;
  /** The active credential of an account and terminal. */
  readonly findByAccount: (
    account: string,
    terminal: string,
    suffices?: Suffices,
  ) => Promise<StoredAccount | undefined>;
}

/** How long a worker or a direct client keeps a credential. */
export const accountsKeptMs = 2_000;

/**
 * Creates the look-up. It keeps an opened credential for `keepMs` milliseconds, after half of which
 * a read makes it load again in the background; with 0 each read loads. Other processes rotate
 * credentials, so `keepMs` is also the time until a rotation has reached this process.
 */
export function createAccounts(db: Db, keyring: Keyring, keepMs: number): Accounts {
  const cache = createCache<StoredAccount | undefined>();
  const find = async (
    key: string,
    suffices: Suffices,
    query: () => Promise<CredentialRow | undefined>,
  ): Promise<StoredAccount | undefined> => {
    const load = async (): Promise<Loaded<StoredAccount | undefined>> => {
      const credential = await query();
      if (credential === undefined) return notStored(undefined);
      let account: SigningAccount | undefined;
      const value = { credential, open: () => (account ??= openAccount(keyring, credential)) };
      if (keepMs === 0) return notStored(value);
      return { value, refreshAfterMs: keepMs / 2, maxStaleMs: keepMs, maxStaleOnErrorMs: keepMs };
    };
    const { value, source } = await cache.get(key, load);
    if (source !== 'cache' || value === undefined || suffices(value)) return value;
    return (await cache.get(key, load, { mustLoad: true })).value;
  };
  return {
    findByName: async (name, suffices = any) =>
      await find(
        `name ${name}`,
        suffices,
        async () => await findCredential(db, name, 'accept_payments'),
      ),
    findById: async (id, suffices = any) =>
      await find(`id ${id}`, suffices, async () => await findCredentialById(db, id)),
    findByAccount: async (account, terminal, suffices = any) =>
      await find(
        JSON.stringify([account, terminal]),
        suffices,
        async () => await findCredentialByAccount(db, account, terminal),
      ),
  };
}

const any: Suffices = () => true;

type OfTokenization = Pick<TokenizationRow, 'credential_id' | 'account' | 'terminal'>;

/**
 * The credential of a tokenization, even a removed one. Undefined when it now holds another account
 * or terminal: the same reference there belongs to another payment.
 */
export async function findAccountOf(
  { accounts }: { readonly accounts: Accounts },
  { credential_id: id, account, terminal }: OfTokenization,
): Promise<StoredAccount | undefined> {
  const isHolder: Suffices = ({ credential }) =>
    credential.account === account && credential.terminal === terminal;
  const stored = await accounts.findById(id, isHolder);
  return stored !== undefined && isHolder(stored) ? stored : undefined;
}

/** The opened account of a tokenization. Throws `credential_not_found` where there is none. */
export async function getAccountOf(
  dependencies: { readonly accounts: Accounts },
  tokenization: OfTokenization,
): Promise<SigningAccount> {
  const stored = await findAccountOf(dependencies, tokenization);
  if (stored !== undefined) return stored.open();
  throw new AppError(
    'credential_not_found',
    'The credential of the tokenization was removed, or now belongs to another account.',
  );
}
