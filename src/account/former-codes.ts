import { formerCodeFields } from '../domain/credential.ts';

type Secrets = Readonly<Record<string, string | undefined>>;

/** The former secure codes of the current overlap, the latest first. */
export function formerCodesOf(secrets: Secrets): readonly string[] {
  return formerCodeFields.map((field) => secrets[field]).filter((code) => code !== undefined);
}

/**
 * The secrets with these former codes, the latest first. If there are more codes than fields, the
 * oldest and the latest ones stay: the gateway may still sign with the oldest, even after an
 * operator stored several newer codes.
 */
export function withFormerCodes(secrets: Secrets, codes: readonly string[]): Secrets {
  const former = [...new Set(codes)].filter((code) => code !== secrets['secureCode']);
  const lastPlace = formerCodeFields.length - 1;
  const kept =
    former.length <= formerCodeFields.length
      ? former
      : [...former.slice(0, lastPlace), ...former.slice(-1)];
  return {
    ...secrets,
    ...Object.fromEntries(formerCodeFields.map((field, place) => [field, kept[place]])),
  };
}
