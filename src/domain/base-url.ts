/**
 * Whether a path can be appended to a URL and the result be called: it has no query, no fragment
 * and no login. An empty query or fragment, as in `https://example.com/?`, counts too.
 */
export function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && !/[?#]/.test(text) && url.username === '' && url.password === '';
}
