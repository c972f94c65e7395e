/**
 * The number of requests in the storm. STORM_REQUESTS=10000 runs the long version, which also kills
 * workers and takes minutes.
 */
export const stormRequests = Number(process.env['STORM_REQUESTS'] ?? '300');

/** Whether this is the long version. */
export const isLongStorm = stormRequests > 1_000;

/** Prints how many faults the storm had: without faults it proves little. */
export function printStormCounts(counts: Readonly<Record<string, number>>): void {
  console.log(`storm: ${stormRequests} requests, ${JSON.stringify(counts)}`);
}
