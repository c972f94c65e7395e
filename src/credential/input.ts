import type { CredentialFamily, CredentialEnvironment } from '../domain/credential.ts';
import type { CredentialRow } from '../db/rows.ts';

/** Which credential is meant. */
export interface CredentialKey {
  readonly name: string;
  readonly family: CredentialFamily;
}

/** A credential as an operator or the environment names it. `secrets` has the shape of its family. */
export interface CredentialInput {
  readonly name: string;
  readonly family: CredentialFamily;
  readonly environment: CredentialEnvironment;
  readonly account?: string | undefined;
  readonly terminal?: string | undefined;
  readonly secrets: Readonly<Record<string, string | undefined>>;
  /** Digests by field of what the environment says, where it is the environment that says it. */
  readonly configured?: Readonly<Record<string, string>>;
}

/** A stored credential with these secrets, as input. */
export function inputOf(
  { name, family, environment, account, terminal }: CredentialRow,
  secrets: CredentialInput['secrets'],
): CredentialInput {
  return {
    name,
    family,
    environment,
    account: account ?? undefined,
    terminal: terminal ?? undefined,
    secrets,
  };
}
