/** What the gateway's status of a token means to the worker. */
export type StatusMeaning = 'active' | 'failed' | 'pending';

/**
 * The words that the gateway uses for a status, with their meaning. An unlisted word stays unknown:
 * the worker queries the gateway and decides nothing because of it.
 */
export type StatusMap = Readonly<Record<string, StatusMeaning>>;

/** The documented word for a usable token, and those that the vendor uses for payments. */
export const usualStatusMap: StatusMap = { '1': 'active', '0': 'failed', '-1': 'pending' };

/** The meaning of a status; undefined for an unknown word. */
export function statusMeaningOf(
  word: string | undefined,
  map: StatusMap,
): StatusMeaning | undefined {
  return word !== undefined && Object.hasOwn(map, word) ? map[word] : undefined;
}

/**
 * Whether a signature over QuickPay ID and status shows where the id ends: the gateway joins the
 * two without a separator. It does not if one word ends in another and the rest could belong to an
 * id. The id `x` with `inactive` gives the same text as the id `xin` with `active`.
 */
export function isStatusBorderClear(map: StatusMap): boolean {
  const words = Object.keys(map);
  return words.every((longer) =>
    words.every((word) => {
      const rest = longer.slice(0, -word.length);
      return longer === word || !longer.endsWith(word) || !/^[\w-]*[A-Za-z0-9]$/.test(rest);
    }),
  );
}
