import type { CredentialRow } from '../db/rows.ts';
import type { Keyring } from '../security/keyring.ts';
import { formerCodesOf, withFormerCodes } from '../account/former-codes.ts';
import { openSecrets } from '../account/open-account.ts';
import { type CredentialInput, inputOf } from './input.ts';

type Secrets = CredentialInput['secrets'];

/** Digests by field of what the environment says, by which the next start knows what has changed there. */
export function configuredDigests(
  keyring: Keyring,
  said: CredentialInput,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(fieldsOf(said)).map(([field, value]) => [
      field,
      keyring.blindIndex(purposeOf(said.family, field), value),
    ]),
  );
}

/** The fields that say which account or application a credential is of. */
const holderFields = ['environment', 'account', 'terminal', 'appKey', 'number'] as const;

/**
 * What a start makes of a stored credential: fields that the environment has changed since it was last stored from there are taken over,
 * and all others stay as they are, whoever changed them. One that it no longer names goes where it still holds what was named. Where it
 * names another account or application, nothing of the former one stays.
 */
export function inputAtStart(
  keyring: Keyring,
  said: CredentialInput,
  present: CredentialRow,
): CredentialInput {
  const stored = openSecrets(keyring, present);
  const held = inputOf(present, stored);
  const changed = changedFields(keyring, said, present);
  if (!isSameHolder(said, held)) {
    // An operator has put another one in its place: what the environment says of the former one is not for that.
    return holderFields.some((field) => changed.has(field)) ? said : held;
  }
  /** It is no longer named, and what is stored is not what was named. */
  const isOfOperator = (field: string): boolean =>
    said.secrets[field] === undefined && !isAsNamed(keyring, present, field, stored[field]);
  const taken = Object.fromEntries(
    Object.entries({ ...stored, ...said.secrets })
      .filter(([field]) => changed.has(field) && !isOfOperator(field))
      .map(([field]) => [field, said.secrets[field]]),
  );
  const secrets = { ...stored, ...taken };
  if (said.family !== 'accept_payments') return { ...said, secrets };
  const isNamedNoMore =
    changed.has(namedCode) && said.secrets[namedCode] === undefined
      ? (code: string) => isAsNamed(keyring, present, namedCode, code)
      : undefined;
  const former = formerCodesAtStart(stored, secrets, said.secrets, isNamedNoMore);
  return { ...said, secrets: withFormerCodes(secrets, former) };
}

const namedCode = 'secureCodePrevious';

/**
 * The former secure codes, the latest first. Those of the running overlap stay, and one that the environment has begun to name joins them. When it
 * no longer names one the overlap is over; where an operator has rotated the code meanwhile that is another overlap, and only
 * the one that was named is forgotten.
 *
 * @param isNamedNoMore which code was named, once none is
 */
function formerCodesAtStart(
  stored: Secrets,
  next: Secrets,
  said: Secrets,
  isNamedNoMore: ((code: string) => boolean) | undefined,
): readonly string[] {
  const isOwnOverlap = next['secureCode'] === said['secureCode'];
  const isOver = (code: string): boolean =>
    isNamedNoMore !== undefined && (isOwnOverlap || isNamedNoMore(code));
  const named = next[namedCode] === stored[namedCode] ? undefined : next[namedCode];
  return [
    named,
    stored['secureCode'],
    ...formerCodesOf(stored).filter((code) => !isOver(code)),
  ].filter((code) => code !== undefined);
}

/** Whether a value is what the environment named when it was last stored from there. */
function isAsNamed(
  keyring: Keyring,
  { family, configured_index: before }: CredentialRow,
  field: string,
  value = '',
): boolean {
  return keyring.matchesBlindIndex(purposeOf(family, field), value, before?.[field] ?? '');
}

function isSameHolder(said: CredentialInput, held: CredentialInput): boolean {
  const [left, right] = [fieldsOf(said), fieldsOf(held)];
  return holderFields.every((field) => left[field] === right[field]);
}

/** Names of the fields of which the environment says something else than when the credential was last stored from there, or nothing any more. */
function changedFields(
  keyring: Keyring,
  said: CredentialInput,
  { configured_index: before }: CredentialRow,
): ReadonlySet<string> {
  const fields = fieldsOf(said);
  const hasChanged = (field: string): boolean => {
    const [value, digest] = [fields[field], before?.[field]];
    if (value === undefined || digest === undefined) return true;
    return !keyring.matchesBlindIndex(purposeOf(said.family, field), value, digest);
  };
  return new Set(Object.keys({ ...before, ...fields }).filter(hasChanged));
}

/** Every field that has a value, by name. */
function fieldsOf({
  environment,
  account,
  terminal,
  secrets,
}: CredentialInput): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries({ environment, account, terminal, ...secrets }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
}

const purposeOf = (family: string, field: string): string => `configured ${family} ${field}`;
