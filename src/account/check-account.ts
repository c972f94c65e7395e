import { findCredential } from '../db/credentials.ts';
import type { AcceptPaymentsAccount, GatewayClient } from '../gateway/client.ts';
import { openAccount } from './open-account.ts';
import type { Db } from '../db/connection/database.ts';
import type { Keyring } from '../security/keyring.ts';

/** Whether the gateway accepts an account, and what to change when it does not. */
export interface AccountCheck {
  readonly isGood: boolean;
  readonly sentence: string;
}

/** Asks the gateway whether it accepts the default account. Undefined when there is none. */
export async function checkDefaultAccount(
  { db, keyring }: { readonly db: Db; readonly keyring: Keyring },
  gateway: Pick<GatewayClient, 'checkAccount'>,
): Promise<AccountCheck | undefined> {
  const row = await findCredential(db, 'default', 'accept_payments');
  if (row?.state !== 'active') return undefined;
  return await checkAccount(openAccount(keyring, row), gateway);
}

/**
 * Asks the gateway whether it accepts an account.
 *
 * @param name the name of its credential; `default` may come from the environment
 */
export async function checkAccount(
  account: AcceptPaymentsAccount,
  gateway: Pick<GatewayClient, 'checkAccount'>,
  name = 'default',
): Promise<AccountCheck> {
  const which = name === 'default' ? 'the account' : `the account of "${name}"`;
  const remedy =
    name === 'default'
      ? 'OCEANPAYMENT_ACCOUNT, OCEANPAYMENT_TERMINAL or OCEANPAYMENT_SECURE_CODE'
      : `its secure code with "token-worker credentials rotate ${name} --family accept_payments"`;
  const reply = await gateway.checkAccount(account);
  switch (reply.kind) {
    case 'done':
      return { isGood: true, sentence: `the gateway accepts ${which}` };
    case 'refused':
      return {
        isGood: false,
        sentence:
          `the gateway refuses ${which} (code ${reply.gatewayCode}): correct ${remedy}, ` +
          'and have this address registered',
      };
    case 'unknown':
      return {
        isGood: false,
        sentence: `the gateway gave no clear answer about ${which} (${reply.cause}): look at OCEANPAYMENT_CHECKOUT_URL, HTTPS_PROXY and the network`,
      };
  }
}
