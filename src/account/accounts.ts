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

/**
 * The Accept Payments credentials of a process, opened. A value may be as old as the process keeps
 * it, so a caller that would refuse something because of it looks it up `fresh` first.
 */
export interface Accounts {
  /** The credential of this name, even a removed one. */
  readonly findByName: (name: string, age?: Age) => Promise<StoredAccount | undefined>;
  /** The credential with this id, even a removed one. */
  readonly findById: (credentialId: string, age?: Age) => Promise<StoredAccount | undefined>;
  /** The active credential of an account and terminal. */
  readonly findByAccount: (
    account: string,
    terminal: string,
    age?: Age,
  ) => Promise<StoredAccount | undefined>;
}

/** Whether a look-up may return what this process keeps. */
export type Age = 'fresh' | 'kept';

/**
 * Creates the look-up. It keeps an opened credential for `keepMs` milliseconds, after half of which
 * a read makes it load again in the background; with 0 each read loads. Other processes rotate
 * credentials, so `keepMs` is also the time until a rotation has reached this process.
 */
export function createAccounts(db: Db, keyring: Keyring, keepMs: number): Accounts {
  const cache = createCache<StoredAccount | undefined>();
  const get = async (
    key: string,
    age: Age,
    find: () => Promise<CredentialRow | undefined>,
  ): Promise<StoredAccount | undefined> => {
    const load = async (): Promise<Loaded<StoredAccount | undefined>> => {
      const credential = await find();
      if (credential === undefined) return notStored(undefined);
      let account: SigningAccount | undefined;
      const value = { credential, open: () => (account ??= openAccount(keyring, credential)) };
      if (keepMs === 0) return notStored(value);
      return {
        value,
        refreshAfterMs: keepMs / 2,
        maxStaleMs: keepMs,
        maxStaleOnErrorMs: keepMs,
      };
    };
    return (await cache.get(key, load, { mustLoad: age === 'fresh' })).value;
  };
  return {
    findByName: async (name, age = 'kept') =>
      await get(`name ${name}`, age, async () => await findCredential(db, name, 'accept_payments')),
    findById: async (id, age = 'kept') =>
      await get(`id ${id}`, age, async () => await findCredentialById(db, id)),
    findByAccount: async (account, terminal, age = 'kept') =>
      await get(
        JSON.stringify([account, terminal]),
        age,
        async () => await findCredentialByAccount(db, account, terminal),
      ),
  };
}

/**
 * The account of a tokenization. Throws `credential_not_found`, also when its credential now holds
 * another account: the same reference there belongs to another payment.
 */
export async function getAccountOf(
  { accounts }: { readonly accounts: Accounts },
  tokenization: Pick<TokenizationRow, 'credential_id' | 'account' | 'terminal'>,
): Promise<SigningAccount> {
  for (const age of ['kept', 'fresh'] as const) {
    const stored = await accounts.findById(tokenization.credential_id, age);
    const { account, terminal } = stored?.credential ?? {};
    if (
      stored !== undefined &&
      account === tokenization.account &&
      terminal === tokenization.terminal
    ) {
      return stored.open();
    }
  }
  throw new AppError(
    'credential_not_found',
    'The credential of the tokenization was removed, or now belongs to another account.',
  );
}
