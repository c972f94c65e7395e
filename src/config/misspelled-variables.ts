import { variablesIn } from './variable.ts';
import { variables } from './variables.ts';

const knownNames = variablesIn(variables).map(({ name }) => name);

/** Prefixes that only this worker uses: an unknown variable under one of them is misspelled. */
const ownPrefixes = /^(?:OCEANPAYMENT|OPCARD|OPCCOUNT|AWAITING_CUSTOMER|MERCHANT_WEBHOOK)_/;
/**
 * Prefixes that other software uses too: systemd sets NOTIFY_SOCKET. The worker reports an unknown
 * variable under one of these prefixes only if its name is close to a known name.
 */
const sharedPrefixes =
  /^(?:ACCESS_TOKEN|RECONCILE|CALLBACK|NOTIFY|REDIRECT|CONCURRENCY|ENCRYPTION|QUEUE|GATEWAY)_/;
const ownDistanceMax = 6;
const sharedDistanceMax = 3;

/** Misspelled variables, each with the name that was probably meant. */
export function findMisspelledVariables(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => !knownNames.includes(name))
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
  return knownNames
    .map((known) => ({ known, distance: editDistance(name, known) }))
    .filter(({ distance }) => distance <= distanceMax)
    .toSorted((a, b) => a.distance - b.distance)[0]?.known;
}

/** Levenshtein distance, computed row by row. */
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
