import { formerCodeFields } from '../domain/credential.ts';

type Secrets = Readonly<Record<string, string | undefined>>;

/** The former secure codes of the running overlap, the latest first. */
export function formerCodesOf(secrets: Secrets): readonly string[] {
  return formerCodeFields.map((field) => secrets[field]).filter((code) => code !== undefined);
}

/**
 * These secrets with other former codes, the latest first. Where there are too many, the first one of the overlap stays, which the gateway
 * may not have given up yet whatever was tried since, and so do the latest ones.
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
