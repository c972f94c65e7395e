/** One place to look for a service. */
export interface Candidate<Found> {
  readonly name: string;
  /** Undefined when there is nothing of the kind here; throws when there is something that could not be used. */
  readonly look: () => Promise<Found | undefined>;
}

/** What a search gave: the find, and what was there but could not be used, as sentences. */
export interface Search<Found> {
  readonly found: Found | undefined;
  readonly passedOver: readonly string[];
}

/** Looks in order and stops at the first find. A place that fails is passed over, but never in silence. */
export async function firstFound<Found>(
  candidates: readonly Candidate<Found>[],
): Promise<Search<Found>> {
  const passedOver: string[] = [];
  for (const { name, look } of candidates) {
    try {
      const found = await look();
      if (found !== undefined) return { found, passedOver };
    } catch (error) {
      const cause = error instanceof Error ? error.message : 'an unknown fault';
      passedOver.push(`${name} could not be used: ${cause.split('\n')[0]}`);
    }
  }
  return { found: undefined, passedOver };
}

/**
 * The candidates of a service. One that somebody named is the only one: tests on another server than the one asked for
 * would prove nothing about it.
 */
export function candidatesOf<Found>(
  named: Candidate<Found> | undefined,
  others: readonly Candidate<Found>[],
): readonly Candidate<Found>[] {
  return named === undefined ? others : [named];
}

/** Whether a Redis, by its INFO memory, keeps what it is given. An evicting one loses jobs, and tests with them. */
export function keepsJobs(infoMemory: string): boolean {
  return /^maxmemory_policy:noeviction\r?$/m.test(infoMemory);
}

/** What a missing Redis means for a run. */
export function redisVerdict(
  isFound: boolean,
  env: Readonly<Record<string, string | undefined>>,
): 'run' | 'skip' | 'fail' {
  if (isFound) return 'run';
  return env['REQUIRE_REDIS'] === '1' ? 'fail' : 'skip';
}

/** Where a Docker engine would answer; undefined for an address that cannot be probed cheaply, such as ssh. */
export function dockerPlace(
  host: string | undefined,
): { path: string } | { host: string; port: number } | undefined {
  if (host === undefined || host === '') return { path: '/var/run/docker.sock' };
  if (!URL.canParse(host)) return undefined;
  const { protocol, hostname, pathname, port } = new URL(host);
  if (protocol === 'unix:') return { path: pathname };
  if (protocol !== 'tcp:' && protocol !== 'http:' && protocol !== 'https:') return undefined;
  return { host: hostname, port: port === '' ? 2375 : Number(port) };
}
