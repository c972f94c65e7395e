import { Secret } from '../../security/secret.ts';
import type { SandboxAccount } from '../sandbox-options.ts';

/** Who makes a call, once the secure code was found right. */
export type AccountTerminal = Pick<SandboxAccount, 'account' | 'terminal'>;

/** The accounts' secure codes, unprintable from the start. */
export interface SecureCodes {
  /** Whether the code belongs to the account and terminal. */
  isRight(account: string, terminal: string, secureCode: string): boolean;
  /** The code of a known account and terminal. Throws for an unknown one, which no creation has. */
  get(account: string, terminal: string): Secret;
}

/** Reads the accounts once. */
export function createSecureCodes(accounts: readonly SandboxAccount[]): SecureCodes {
  const codes = new Map(
    accounts.map(({ account, terminal, secureCode }) => [
      JSON.stringify([account, terminal]),
      new Secret(secureCode),
    ]),
  );
  const find = (account: string, terminal: string): Secret | undefined =>
    codes.get(JSON.stringify([account, terminal]));
  return {
    isRight: (account, terminal, secureCode) => find(account, terminal)?.reveal() === secureCode,
    get(account, terminal) {
      const secureCode = find(account, terminal);
      if (secureCode === undefined) throw new Error('The sandbox does not have this account.');
      return secureCode;
    },
  };
}
