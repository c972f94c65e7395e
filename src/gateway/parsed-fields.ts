/** Why a body could not be read. The set is closed. */
export type ParseFault =
  | 'empty'
  | 'too_large'
  | 'invalid_utf8'
  | 'nul_character'
  | 'doctype_forbidden'
  | 'xml_invalid'
  | 'json_invalid'
  | 'not_an_object'
  | 'too_deep'
  | 'too_many_fields';

/** The outcome of a format's own parser: flat names with their text. */
export type ParsedFields =
  | { readonly ok: true; readonly raw: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly reason: ParseFault };
