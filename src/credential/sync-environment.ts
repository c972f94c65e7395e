import { findCredential } from '../db/credentials.ts';
import { AppError } from '../domain/errors.ts';
import type { AcceptPaymentsAccount } from '../gateway/client.ts';
import type { Logger } from '../observability/logger.ts';
import { Secret } from '../security/secret.ts';
import { retryOnStaleVersion } from '../db/retry-stale.ts';
import { configuredDigests, inputAtStart } from './environment-diff.ts';
import { openAccount } from '../account/open-account.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { assertUnique } from './uniqueness.ts';
import {
  assertCanReplace,
  createCredential,
  replaceCredential,
  type StoreResult,
} from './store.ts';
import type { CredentialInput } from './input.ts';

/** The credentials that the environment may hold, one of each family. */
export interface ConfiguredCredentials {
  readonly acceptPayments?:
    | {
        readonly account: string;
        readonly terminal: string;
        readonly secureCode: Secret;
        readonly secureCodePrevious?: Secret | undefined;
        readonly publicKey?: Secret | undefined;
      }
    | undefined;
  readonly opcard?: { readonly appKey: Secret; readonly appSecret: Secret } | undefined;
  readonly opccount?:
    | { readonly number: string; readonly vaCode: Secret; readonly privateKey: Secret }
    | undefined;
}

const name = 'default';
const actor = { type: 'operator', id: 'environment' } as const;

type Environment = CredentialInput['environment'];
type Dependencies = Pick<OperationDependencies, 'db' | 'door' | 'keyring'>;

/**
 * Stores the environment's credentials under the name `default`, of each field what the environment has changed since it was last stored from
 * there: what an operator has changed meanwhile stays. A former secure code goes on verifying. One that an operator has removed is
 * not brought back behind their back; the log says so. Throws `credential_conflict`, or `state_forbids` for another
 * account while tokenizations need the present one; nothing of any family is stored then.
 */
export async function storeConfiguredCredentials(
  { logger, ...dependencies }: Dependencies & { readonly logger: Pick<Logger, 'warn'> },
  credentials: ConfiguredCredentials,
  environment: Environment,
): Promise<void> {
  const [fault] = await findFaultsAtStart(dependencies, credentials, environment);
  if (fault !== undefined) throw fault;
  for (const input of inputsOf(credentials, environment)) {
    if ((await storeConfigured(dependencies, input)) !== 'removed') continue;
    logger.warn(
      { credential: name, family: input.family, code: 'credential_not_found' },
      'the environment holds a credential that was removed, and it stays removed; "token-worker credentials add" brings it back',
    );
  }
}

/** The Accept Payments account that a start with this environment would work with; nothing is stored. */
export async function findAccountAtStart(
  { db, keyring }: Pick<OperationDependencies, 'db' | 'keyring'>,
  { acceptPayments }: ConfiguredCredentials,
  environment: Environment,
): Promise<AcceptPaymentsAccount | undefined> {
  const present = await findCredential(db, name, 'accept_payments');
  if (present?.state === 'removed') return undefined;
  const [said] = inputsOf({ acceptPayments }, environment);
  if (said === undefined) return present && openAccount(keyring, present);
  return accountOf(present === undefined ? said : inputAtStart(keyring, said, present));
}

/** Why a start with this environment would be refused, at most one fault for each credential; nothing is stored. */
export async function findFaultsAtStart(
  dependencies: Pick<OperationDependencies, 'db' | 'keyring'>,
  credentials: ConfiguredCredentials,
  environment: Environment,
): Promise<readonly AppError[]> {
  const faults: AppError[] = [];
  for (const said of inputsOf(credentials, environment)) {
    const present = await findCredential(dependencies.db, name, said.family);
    if (present?.state === 'removed') continue;
    try {
      if (present === undefined) await assertUnique(dependencies, said);
      else
        await assertCanReplace(
          dependencies,
          present,
          inputAtStart(dependencies.keyring, said, present),
        );
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      faults.push(error);
    }
  }
  return faults;
}

function accountOf({
  environment,
  account = '',
  terminal = '',
  secrets,
}: CredentialInput): AcceptPaymentsAccount {
  return { environment, account, terminal, secureCode: new Secret(secrets['secureCode'] ?? '') };
}

function inputsOf(
  { acceptPayments, opcard, opccount }: ConfiguredCredentials,
  environment: Environment,
): readonly CredentialInput[] {
  const inputs: CredentialInput[] = [];
  const common = { name, environment };
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

async function storeConfigured(
  dependencies: Dependencies,
  said: CredentialInput,
): Promise<StoreResult | 'removed'> {
  const { db, keyring } = dependencies;
  const configured = configuredDigests(keyring, said);
  return await retryOnStaleVersion(async () => {
    const present = await findCredential(db, name, said.family);
    if (present === undefined) {
      return await createCredential(dependencies, { ...said, configured }, actor);
    }
    if (present.state === 'removed') return 'removed';
    const input = { ...inputAtStart(keyring, said, present), configured };
    return await replaceCredential(dependencies, present, input, actor);
  });
}
