import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const entry = 'virtual:backend';

/** What a backend's bundler makes of some code that uses the client: its modules, and what is left of them. */
async function bundle(code: string): Promise<{ modules: readonly string[]; text: string }> {
  const build = await rolldown({
    input: entry,
    cwd: root,
    platform: 'neutral',
    plugins: [
      {
        name: 'backend',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) =>
          id === entry
            ? code.replace('token-lifecycle-worker/client', `${root}src/client/client.ts`)
            : undefined,
      },
    ],
  });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  const chunks = output.filter((one) => one.type === 'chunk');
  expect(chunks).toHaveLength(1);
  // Nothing may be left for the run time to find either, a module of Node's own included.
  expect(chunks.flatMap(({ imports, dynamicImports }) => [...imports, ...dynamicImports])).toEqual(
    [],
  );
  const modules = chunks
    .flatMap(({ moduleIds }) => moduleIds)
    .filter((id) => id.startsWith(root))
    .map((id) => relative(root, id));
  return { modules, text: chunks.map(({ code: made }) => made).join('') };
}

test('a backend that bundles the client gets the client, the schemas, ky and zod, and nothing else', async () => {
  const { modules, text } = await bundle(
    `import { createTokenClient } from 'token-lifecycle-worker/client';
     globalThis.client = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x' });`,
  );
  expect(modules).toEqual(expect.arrayContaining(['src/client/client.ts']));
  const allowed = /^(?:src\/(?:client|domain)\/|node_modules\/(?:ky|zod)\/)/;
  expect(modules.filter((path) => !allowed.test(path))).toEqual([]);
  // The bundle runs as it is, where there is nothing but a `fetch`.
  await import(`data:text/javascript,${encodeURIComponent(text)}`);
  expect(globalThis).toHaveProperty('client.requestTokenization');
});

test('a backend that needs the error alone gets little more than that', async () => {
  const { modules, text } = await bundle(
    `import { TokenClientError } from 'token-lifecycle-worker/client';
     globalThis.isOurs = (error) => error instanceof TokenClientError;`,
  );
  expect(modules).toEqual(['src/client/client-error.ts']);
  expect(text.length).toBeLessThan(1_000);
});
