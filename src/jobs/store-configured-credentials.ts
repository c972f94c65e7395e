import type { Secret } from '../security/secret.ts';
import type { OperationDependencies } from './job-dependencies.ts';
import { storeCredential } from './store-credential.ts';

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

/**
 * Stores the environment's credentials under the name `default`. A changed value is a rotation; repeating is free. One that an operator
 * has removed is not brought back behind their back: that throws `state_forbids`.
 */
export async function storeConfiguredCredentials(
  dependencies: Pick<OperationDependencies, 'db' | 'door' | 'keyring'>,
  { acceptPayments, opcard, opccount }: ConfiguredCredentials,
  environment: 'sandbox' | 'production',
): Promise<void> {
  const common = { name, environment };
  if (acceptPayments !== undefined) {
    const { account, terminal, secureCode, secureCodePrevious, publicKey } = acceptPayments;
    const secrets = {
      secureCode: secureCode.reveal(),
      secureCodePrevious: secureCodePrevious?.reveal(),
      publicKey: publicKey?.reveal(),
    };
    await storeCredential(
      dependencies,
      { ...common, family: 'accept_payments', account, terminal, secrets },
      actor,
    );
  }
  if (opcard !== undefined) {
    const secrets = { appKey: opcard.appKey.reveal(), appSecret: opcard.appSecret.reveal() };
    await storeCredential(dependencies, { ...common, family: 'opcard', secrets }, actor);
  }
  if (opccount !== undefined) {
    const { number, vaCode, privateKey } = opccount;
    const secrets = { number, vaCode: vaCode.reveal(), privateKey: privateKey.reveal() };
    await storeCredential(dependencies, { ...common, family: 'opccount', secrets }, actor);
  }
}
