import { findCredential } from '../db/credentials.ts';
import type { CredentialRow } from '../db/rows.ts';
import type { AcceptPaymentsAccount } from '../gateway/client.ts';
import type { Logger } from '../observability/logger.ts';
import type { Keyring } from '../security/keyring.ts';
import type { Secret } from '../security/secret.ts';
import { applyToPresentRow } from './apply-to-present-row.ts';
import { openAccount, openSecrets } from './gateway-accounts.ts';
import type { OperationDependencies } from './job-dependencies.ts';
import {
  createCredential,
  type CredentialInput,
  inputOf,
  replaceCredential,
  type StoreResult,
} from './store-credential.ts';

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
 * Stores the environment's credentials under the name `default`, where what the environment says has changed since it was last stored from
 * there: what an operator has changed meanwhile stays. A former secure code goes on verifying. One that an operator has removed is
 * not brought back behind their back; the log says so.
 */
export async function storeConfiguredCredentials(
  { logger, ...dependencies }: Dependencies & { readonly logger: Pick<Logger, 'warn'> },
  credentials: ConfiguredCredentials,
  environment: Environment,
): Promise<void> {
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
  if (acceptPayments !== undefined && said !== undefined && hasChanged(keyring, said, present)) {
    return { environment, ...acceptPayments };
  }
  return present && openAccount(keyring, present);
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
  const configured = digestsOf(keyring, said);
  return await applyToPresentRow(async () => {
    const present = await findCredential(db, name, said.family);
    if (present === undefined) {
      return await createCredential(dependencies, { ...said, configured }, actor);
    }
    if (present.state === 'removed') return 'removed';
    const secrets = openSecrets(keyring, present);
    if (!hasChanged(keyring, said, present)) {
      const input = { ...inputOf(present, secrets), configured };
      return await replaceCredential(dependencies, present, input, actor);
    }
    const input = { ...said, secrets: mergedSecrets(said, present, secrets), configured };
    return await replaceCredential(dependencies, present, input, actor);
  });
}

/**
 * What the environment says, and of the same account also what it never said anything about. The former secure code verifies
 * on until the overlap is ended, or until the environment no longer names it.
 */
function mergedSecrets(
  { environment, account, terminal, secrets: said }: CredentialInput,
  present: CredentialRow,
  stored: CredentialInput['secrets'],
): CredentialInput['secrets'] {
  const isSameAccount =
    present.family === 'accept_payments' &&
    present.environment === environment &&
    present.account === account &&
    present.terminal === terminal;
  if (!isSameAccount) return said;
  const unsaid = (field: string): string | undefined =>
    field in (present.configured_index ?? {}) ? undefined : stored[field];
  const isNewCode = said['secureCode'] !== stored['secureCode'];
  return {
    ...said,
    secureCodePrevious:
      said['secureCodePrevious'] ??
      (isNewCode ? stored['secureCode'] : unsaid('secureCodePrevious')),
    publicKey: said['publicKey'] ?? unsaid('publicKey'),
  };
}

/** Every field that the environment says, by name. */
function fieldsOf({
  environment,
  account,
  terminal,
  secrets,
}: CredentialInput): readonly (readonly [string, string])[] {
  return Object.entries({ environment, account, terminal, ...secrets }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
}

const purposeOf = (family: string, field: string): string => `configured ${family} ${field}`;

function digestsOf(keyring: Keyring, said: CredentialInput): Readonly<Record<string, string>> {
  return Object.fromEntries(
    fieldsOf(said).map(([field, value]) => [
      field,
      keyring.blindIndex(purposeOf(said.family, field), value),
    ]),
  );
}

/** Whether the environment says something else than when the credential was last stored from there. */
function hasChanged(
  keyring: Keyring,
  said: CredentialInput,
  present: CredentialRow | undefined,
): boolean {
  const fields = fieldsOf(said);
  const before = present?.configured_index ?? {};
  return (
    fields.length !== Object.keys(before).length ||
    fields.some(([field, value]) => {
      const digest = before[field];
      return (
        digest === undefined ||
        !keyring.matchesBlindIndex(purposeOf(said.family, field), value, digest)
      );
    })
  );
}
