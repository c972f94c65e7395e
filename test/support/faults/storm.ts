/** How many requests the storm has; STORM_REQUESTS=10000 is the long version, which kills workers too and takes minutes. */
export const stormRequests = Number(process.env['STORM_REQUESTS'] ?? '300');

/** Whether this is the long version. */
export const isLongStorm = stormRequests > 1_000;

/** Says how rough it was; a storm in which nothing died proves little. */
export function sayHowRough(counts: Readonly<Record<string, number>>): void {
  console.log(`storm: ${stormRequests} requests, ${JSON.stringify(counts)}`);
}
