import { z } from 'zod';
import type { CredentialRow } from '../db/rows.ts';
import { credentialContent } from '../domain/credential.ts';
import type { AcceptPaymentsAccount, OpcardApp } from '../gateway/client.ts';
import type { Keyring, SealedPlace } from '../security/keyring.ts';
import { Secret } from '../security/secret.ts';
import { formerCodesOf } from './former-codes.ts';

/** Not strict: a later version may seal further fields. */
const signingSecrets = credentialContent.accept_payments
  .pick({ secureCode: true, publicKey: true })
  .strip();

/** An account with each secure code that the gateway may sign with. */
export interface SigningAccount extends AcceptPaymentsAccount {
  /** The current secure code, then the former ones of an overlap. */
  readonly secureCodes: readonly Secret[];
}

/** Opens an Accept Payments credential. */
export function openAccount(keyring: Keyring, row: CredentialRow): SigningAccount {
  const secrets = openSecrets(keyring, row);
  const { secureCode: current, publicKey } = signingSecrets.parse(secrets);
  const secureCode = new Secret(current);
  return {
    environment: row.environment,
    account: row.account ?? '',
    terminal: row.terminal ?? '',
    secureCode,
    publicKey: publicKey === undefined ? undefined : new Secret(publicKey),
    secureCodes: [secureCode, ...formerCodesOf(secrets).map((code) => new Secret(code))],
  };
}

/** Opens an OPCard credential. */
export function openOpcard(keyring: Keyring, row: CredentialRow): OpcardApp {
  const { appKey, appSecret } = credentialContent.opcard.parse(openSecrets(keyring, row));
  return { environment: row.environment, appKey, appSecret: new Secret(appSecret) };
}

/** The place that the sealed secrets of a credential are bound to. */
export function credentialPlace(rowId: string): SealedPlace {
  return { table: 'credential', column: 'secrets_sealed', rowId };
}

/** Opens the sealed fields of a credential of any family. */
export function openSecrets(
  keyring: Keyring,
  row: Pick<CredentialRow, 'id' | 'secrets_sealed'>,
): Readonly<Record<string, string | undefined>> {
  return secretsSchema.parse(
    JSON.parse(keyring.open(credentialPlace(row.id), row.secrets_sealed).reveal()),
  );
}

const secretsSchema = z.record(z.string(), z.string().optional());
