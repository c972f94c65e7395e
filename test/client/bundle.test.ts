import { isBuiltin } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const entry = 'virtual:backend';
const entries: Readonly<Record<string, string>> = {
  'token-lifecycle-client': `${root}src/client/client.ts`,
  'token-lifecycle-client/direct': `${root}src/direct-client/direct-client.ts`,
  'token-lifecycle-client/enqueue': `${root}src/direct-client/enqueue.ts`,
};
/** Packages of the direct client that a server's bundler leaves out. */
const serverPackages = [
  '@remix-run/multipart-parser',
  'pg',
  'kysely',
  'zod',
  'fast-xml-parser',
  'lossless-json',
];

/**
 * Bundles a backend's code that uses the client. Returns the bundled modules, the remaining imports
 * and the text. A server's bundle leaves out packages and Node.js modules.
 */
async function bundle(
  code: string,
  { isServer = false }: { readonly isServer?: boolean } = {},
): Promise<{ modules: readonly string[]; imports: readonly string[]; text: string }> {
  const isPackage = (id: string): boolean =>
    isBuiltin(id) || (!id.startsWith('.') && !id.startsWith('/') && id !== entry);
  const build = await rolldown({
    input: entry,
    cwd: root,
    platform: isServer ? 'node' : 'neutral',
    ...(isServer ? { external: (id: string) => !(id in entries) && isPackage(id) } : {}),
    plugins: [
      {
        name: 'backend',
        resolveId: (id) => (id === entry ? id : entries[id]),
        load: (id) => (id === entry ? code : undefined),
      },
    ],
  });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  const chunks = output.filter((one) => one.type === 'chunk');
  expect(chunks).toHaveLength(1);
  const modules = chunks
    .flatMap(({ moduleIds }) => moduleIds)
    .filter((id) => id.startsWith(root))
    .map((id) => relative(root, id));
  return {
    modules,
    imports: chunks.flatMap(({ imports, dynamicImports }) => [...imports, ...dynamicImports]),
    text: chunks.map(({ code: made }) => made).join(''),
  };
}

describe('bundle', () => {
  test('of the client has only the client, the schemas, ky and zod', async () => {
    const { modules, imports, text } = await bundle(
      `import { createTokenClient } from 'token-lifecycle-client';
       globalThis.client = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x' });`,
    );
    expect(modules).toEqual(expect.arrayContaining(['src/client/client.ts']));
    const allowed = /^(?:src\/(?:client|domain|cache)\/|node_modules\/(?:ky|zod)\/)/;
    expect(modules.filter((path) => !allowed.test(path))).toEqual([]);
    // No import may remain, not even of a Node.js module.
    expect(imports).toEqual([]);
    // The bundle runs where only `fetch` exists.
    await import(`data:text/javascript,${encodeURIComponent(text)}`);
    expect(globalThis).toHaveProperty('client.requestTokenization');
  });

  test('of the error class is small from each entry', async () => {
    for (const name of Object.keys(entries)) {
      const { modules, imports, text } = await bundle(
        `import { TokenClientError } from '${name}';
         globalThis.isOurs = (error) => error instanceof TokenClientError;`,
        { isServer: true },
      );
      expect(modules).toEqual(['src/client/client-error.ts']);
      expect(imports).toEqual([]);
      expect(text.length).toBeLessThan(1_000);
    }
  });

  test('of the direct client has no server, queue, job or gateway call', async () => {
    const { modules, imports } = await bundle(
      `import { openDirectTokenClient } from 'token-lifecycle-client/direct';
       globalThis.open = openDirectTokenClient;`,
      { isServer: true },
    );
    const allowed =
      /^src\/(?:client|direct-client|domain|cache|security|db|gateway|account|tokenization|access-token|callback|credential)\//;
    expect(modules.filter((path) => !allowed.test(path))).toEqual([]);
    expect(imports.filter((name) => !isBuiltin(name) && !serverPackages.includes(name))).toEqual(
      [],
    );
    const ofJobs = modules.filter((path) =>
      /registry|define-job|finish-disabling|judge|scan|refresh|send|client\/(?:connection|http)|gateway\/(?:client|transport)|migrat/.test(
        path,
      ),
    );
    expect(ofJobs).toEqual([]);
  });

  test('of enqueueIn has schemas, but no database client and no keyring', async () => {
    const { modules, imports } = await bundle(
      `import { addToQueue, enqueueIn } from 'token-lifecycle-client/enqueue';
       globalThis.ways = [addToQueue, enqueueIn];`,
      { isServer: true },
    );
    const allowed = /^src\/(?:client\/client-error|direct-client\/|domain\/)/;
    expect(modules.filter((path) => !allowed.test(path))).toEqual([]);
    expect(imports).toEqual(['zod']);
  });
});
