import { Secret } from '../../security/secret.ts';
import type { AccountTerminal } from './creation.ts';
import type { SandboxAccount } from '../sandbox-options.ts';

/** The accounts' secure codes. */
export interface SecureCodes {
  /** Whether the secure code belongs to the account and terminal. */
  isValid(account: AccountTerminal, secureCode: string): boolean;
  /** The secure code of a known account. Throws for an unknown one, which no creation has. */
  get(account: AccountTerminal): Secret;
}

/** Copies the accounts' secure codes. */
export function createSecureCodes(accounts: readonly SandboxAccount[]): SecureCodes {
  const codes = new Map(
    accounts.map((account) => [nameOf(account), new Secret(account.secureCode)]),
  );
  return {
    isValid: (account, secureCode) => codes.get(nameOf(account))?.reveal() === secureCode,
    get(account) {
      const secureCode = codes.get(nameOf(account));
      if (secureCode === undefined) throw new Error('The sandbox does not know this account.');
      return secureCode;
    },
  };
}

function nameOf({ account, terminal }: AccountTerminal): string {
  return JSON.stringify([account, terminal]);
}
