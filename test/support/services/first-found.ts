/** One possible source of a service. */
export interface Candidate<Found> {
  readonly name: string;
  /** Resolves to undefined if the service is absent; throws if it is present but unusable. */
  readonly look: () => Promise<Found | undefined>;
}

/** The result of a search: the service, and a sentence for each unusable candidate. */
export interface Search<Found> {
  readonly found: Found | undefined;
  readonly passedOver: readonly string[];
}

/** Tries the candidates in order until one is found, and reports each unusable one. */
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
 * The candidates of a service. A service that the environment names is the only candidate, because
 * tests on another server would prove nothing about it.
 */
export function candidatesOf<Found>(
  named: Candidate<Found> | undefined,
  others: readonly Candidate<Found>[],
): readonly Candidate<Found>[] {
  return named === undefined ? others : [named];
}

/** Whether INFO memory shows that Redis never evicts keys. A Redis that evicts loses jobs. */
export function keepsJobs(infoMemory: string): boolean {
  return /^maxmemory_policy:noeviction\r?$/m.test(infoMemory);
}

/** The consequence of a missing Redis for a run. */
export function redisVerdict(
  isFound: boolean,
  env: Readonly<Record<string, string | undefined>>,
): 'run' | 'skip' | 'fail' {
  if (isFound) return 'run';
  return env['REQUIRE_REDIS'] === '1' ? 'fail' : 'skip';
}

/**
 * The address of the Docker engine; undefined for one that can't be probed cheaply, such as ssh.
 */
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
