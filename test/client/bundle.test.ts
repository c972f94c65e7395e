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
/** Packages of the direct client that a server leaves to its `node_modules`. */
const serverPackages = ['pg', 'kysely', 'zod', 'fast-xml-parser', 'lossless-json'];

/**
 * What a backend's bundler makes of some code that uses the client: its modules, what it leaves for the run time to find, and
 * the text. A server keeps packages and modules of Node's own outside.
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

describe('a backend that bundles', () => {
  test('the client gets the client, the schemas, ky and zod, and nothing else', async () => {
    const { modules, imports, text } = await bundle(
      `import { createTokenClient } from 'token-lifecycle-client';
       globalThis.client = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x' });`,
    );
    expect(modules).toEqual(expect.arrayContaining(['src/client/client.ts']));
    const allowed = /^(?:src\/(?:client|domain|cache)\/|node_modules\/(?:ky|zod)\/)/;
    expect(modules.filter((path) => !allowed.test(path))).toEqual([]);
    // Nothing may be left for the run time to find either, a module of Node's own included.
    expect(imports).toEqual([]);
    // The bundle runs as it is, where there is nothing but a `fetch`.
    await import(`data:text/javascript,${encodeURIComponent(text)}`);
    expect(globalThis).toHaveProperty('client.requestTokenization');
  });

  test('the error alone gets little more than that, from each entry', async () => {
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

  test('the direct client gets the operations that it calls, and no server, queue, job or gateway call', async () => {
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

  test('the enqueue in its own transaction alone gets schemas, and neither a database client nor keys', async () => {
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
