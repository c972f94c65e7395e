import type { Config } from '../config/config.ts';
import { openAccount } from '../account/open-account.ts';
import { findCredential } from '../db/credentials.ts';
import { AppError } from '../domain/errors.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import type { AcceptPaymentsAccount } from '../gateway/client.ts';
import type { CredentialInput } from './input.ts';
import { openStoredSecrets, storeCredential } from './store.ts';
import { assertCanStore } from './uniqueness.ts';

/** The credentials that environment variables name, at most one of each family. */
export type EnvironmentCredentials = Config['credentials'];

const name = 'default';
const actor = { type: 'operator', id: 'environment' } as const;

type Environment = CredentialInput['environment'];

/**
 * Stores each credential that environment variables name under the name `default`, exactly as they
 * say, and marks it as managed by the environment. The last start wins. Throws as `assertCanStore`
 * does; then nothing of any family is stored.
 */
export async function storeEnvironmentCredentials(
  dependencies: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  credentials: EnvironmentCredentials,
  environment: Environment,
): Promise<void> {
  const [fault] = await findStartFaults(dependencies, credentials, environment);
  if (fault !== undefined) throw fault;
  for (const input of inputsOf(credentials, environment)) {
    await storeCredential(dependencies, input, actor);
  }
}

/** Reasons to refuse a start with this environment, at most one of each family. Stores nothing. */
export async function findStartFaults(
  dependencies: Pick<OperationDependencies, 'db' | 'keyring'>,
  credentials: EnvironmentCredentials,
  environment: Environment,
): Promise<readonly AppError[]> {
  const faults: AppError[] = [];
  for (const input of inputsOf(credentials, environment)) {
    try {
      const stored = await findCredential(dependencies.db, name, input.family);
      if (stored !== undefined) openStoredSecrets(dependencies.keyring, stored);
      await assertCanStore(dependencies, stored, input);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      faults.push(error);
    }
  }
  return faults;
}

/** The default Accept Payments account after a start with this environment. Stores nothing. */
export async function findAccountAtStart(
  { db, keyring }: Pick<OperationDependencies, 'db' | 'keyring'>,
  { acceptPayments }: EnvironmentCredentials,
  environment: Environment,
): Promise<AcceptPaymentsAccount | undefined> {
  if (acceptPayments !== undefined) return { ...acceptPayments, environment };
  const stored = await findCredential(db, name, 'accept_payments');
  return stored?.state === 'active' ? openAccount(keyring, stored) : undefined;
}

function inputsOf(
  { acceptPayments, opcard, opccount }: EnvironmentCredentials,
  environment: Environment,
): readonly CredentialInput[] {
  const inputs: CredentialInput[] = [];
  const common = { name, environment, managedBy: 'environment' } as const;
  if (acceptPayments !== undefined) {
    const { account, terminal, secureCode, secureCodePrevious, publicKey } = acceptPayments;
    const secrets = {
      secureCode: secureCode.reveal(),
      secureCodePrevious: secureCodePrevious?.reveal(),
      publicKey: publicKey?.reveal(),
    };
    inputs.push({ ...common, family: 'accept_payments', account, terminal, secrets });
  }
  if (opcard !== undefined) {
    const secrets = { appKey: opcard.appKey.reveal(), appSecret: opcard.appSecret.reveal() };
    inputs.push({ ...common, family: 'opcard', secrets });
  }
  if (opccount !== undefined) {
    const { number, vaCode, privateKey } = opccount;
    const secrets = { number, vaCode: vaCode.reveal(), privateKey: privateKey.reveal() };
    inputs.push({ ...common, family: 'opccount', secrets });
  }
  return inputs;
}
