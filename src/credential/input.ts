import type { z } from 'zod';
import type {
  CredentialEnvironment,
  CredentialFamily,
  CredentialManager,
} from '../domain/credential.ts';
import { AppError } from '../domain/errors.ts';
import { pathsOf } from '../domain/payload/payload-paths.ts';

/** The name and family that identify a credential. */
export interface CredentialKey {
  readonly name: string;
  readonly family: CredentialFamily;
}

/** The sealed fields of a credential, in the shape of its family. */
export type CredentialSecrets = Readonly<Record<string, string | undefined>>;

/** Everything that is stored of a credential. */
export interface CredentialInput extends CredentialKey {
  readonly environment: CredentialEnvironment;
  /** `command` when left out. */
  readonly managedBy?: CredentialManager;
  readonly account?: string | undefined;
  readonly terminal?: string | undefined;
  readonly secrets: CredentialSecrets;
}

/** Parses an operator's input. Throws `payload_invalid` with paths and without values. */
export function parseContent(schema: z.ZodType, content: unknown): CredentialSecrets {
  const parsed = schema.safeParse(content);
  // The schema of each family is an object of strings.
  if (parsed.success) return parsed.data as CredentialSecrets;
  throw new AppError('payload_invalid', 'The content does not fit this family of credentials.', {
    paths: pathsOf(parsed.error.issues),
  });
}
