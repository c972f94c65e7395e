import { variables } from './variables.ts';

/** Prefixes that are ours alone: a variable under one of them that we don't know is a findMisspelledVariables one. */
const ownPrefixes = /^(?:OCEANPAYMENT|OPCARD|OPCCOUNT|AWAITING_CUSTOMER|MERCHANT_WEBHOOK)_/;
/**
 * Prefixes that others use too: systemd sets NOTIFY_SOCKET, and Kubernetes CALLBACK_SERVICE_HOST for a service named
 * `callback`. Under these, only what is nearly one of our names counts as findMisspelledVariables.
 */
const sharedPrefixes =
  /^(?:ACCESS_TOKEN|RECONCILE|CALLBACK|NOTIFY|REDIRECT|CONCURRENCY|ENCRYPTION|QUEUE|GATEWAY)_/;
const ownDistanceMax = 6;
const sharedDistanceMax = 3;

/** Misspelt variables, each with the name it was probably meant to be. */
export function findMisspelledVariables(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => !Object.hasOwn(variables, name))
    .flatMap((name) => {
      if (ownPrefixes.test(name)) {
        const meant = findNearest(name, ownDistanceMax);
        return `${name}: no such variable${meant === undefined ? '' : `; did you mean ${meant}?`}`;
      }
      const meant = sharedPrefixes.test(name) ? findNearest(name, sharedDistanceMax) : undefined;
      return meant === undefined ? [] : `${name}: no such variable; did you mean ${meant}?`;
    });
}

function findNearest(name: string, distanceMax: number): string | undefined {
  return Object.keys(variables)
    .map((known) => ({ known, distance: editDistance(name, known) }))
    .filter(({ distance }) => distance <= distanceMax)
    .toSorted((a, b) => a.distance - b.distance)[0]?.known;
}

/** Levenshtein distance, by the usual two rows. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const present = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      present.push(Math.min((above[column] ?? 0) + 1, (present[column - 1] ?? 0) + 1, replaced));
    }
    above = present;
  }
  return above[b.length] ?? 0;
}
