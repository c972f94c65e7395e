const referenceLengthMax = 50;
const idLength = 12;
const shape = new RegExp(`~\\d+~[0-9a-f]{${idLength}}$`);

/**
 * The reference for a repeated attempt (from 2) of a request whose reply was lost: `<merchant
 * reference>~<attempt>~<part of the id>`.
 *
 * The gateway takes 50 characters, so the worker cuts the merchant's reference. The part of the
 * tokenization's id keeps cut references distinct when they begin with the same characters.
 */
export function givenReference(merchantReferenceId: string, attempt: number, id: string): string {
  const suffix = `~${attempt}~${id.replaceAll('-', '').slice(0, idLength)}`;
  return merchantReferenceId.slice(0, referenceLengthMax - suffix.length) + suffix;
}

/** The beginning of the merchant's reference in one that `givenReference` made; else undefined. */
export function merchantPartOf(reference: string): string | undefined {
  return isGivenReference(reference) ? reference.replace(shape, '') : undefined;
}

/** Whether a reference has the form that `givenReference` makes. */
export function isGivenReference(reference: string): boolean {
  return shape.test(reference);
}
