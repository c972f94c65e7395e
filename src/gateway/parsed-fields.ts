/** The closed set of reasons why a body can't be read. */
export type ParseFault =
  | 'empty'
  | 'too_large'
  | 'nul_character'
  | 'doctype_forbidden'
  | 'xml_invalid'
  | 'json_invalid'
  | 'multipart_invalid'
  | 'not_an_object'
  | 'too_deep'
  | 'too_many_fields'
  | 'format_not_accepted'
  | 'no_account';

/** The outcome of one format's parser: text by flat name. */
export type ParsedFields =
  | { readonly ok: true; readonly raw: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly reason: ParseFault };

/** Fields by name. Of a repeated name, the configured value counts. */
export function fieldsByName(
  pairs: readonly (readonly [string, string])[],
  duplicates: 'last' | 'first',
): Readonly<Record<string, string>> {
  return Object.fromEntries(duplicates === 'last' ? pairs : pairs.toReversed());
}
