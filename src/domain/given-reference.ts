const referenceLengthMax = 50;
const idLength = 12;
const shape = new RegExp(`~\\d+~[0-9a-f]{${idLength}}$`);

/**
 * The reference under which a lost request is sent again: the merchant's, as far as the gateway's 50 characters go, the attempt (from
 * 2), and what no other tokenization has, as two references that begin alike must not become one.
 */
export function givenReference(merchantReferenceId: string, attempt: number, id: string): string {
  const suffix = `~${attempt}~${id.replaceAll('-', '').slice(0, idLength)}`;
  return merchantReferenceId.slice(0, referenceLengthMax - suffix.length) + suffix;
}

/** Whether a reference looks like one that the worker has given. */
export function isGivenReference(reference: string): boolean {
  return shape.test(reference);
}
