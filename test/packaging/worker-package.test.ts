import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const root = fileURLToPath(new URL('../../', import.meta.url));
// It is inside the project, where Node.js finds the package's dependencies.
const consumer = join(root, `node_modules/.cache/consumer-${process.pid}`);
const installed = join(consumer, 'node_modules/token-lifecycle-worker');
const compiler = join(root, 'node_modules/typescript/bin/tsc');

const manifest = z.object({
  bin: z.record(z.string(), z.string()),
  exports: z.record(
    z.string(),
    z.union([z.string(), z.object({ types: z.string(), default: z.string() })]),
  ),
  scripts: z.object({ build: z.string(), prepack: z.string() }),
});

const run = async (cwd: string, ...command: readonly string[]) =>
  await promisify(execFile)(process.execPath, command, { cwd, maxBuffer: 1 << 26 });
const readManifest = async () =>
  manifest.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));

/** Installs the package, built from these sources, into a backend's project as npm would. */
beforeAll(async () => {
  await mkdir(installed, { recursive: true });
  await writeFile(join(consumer, 'package.json'), '{"type":"module"}');
  for (const name of ['package.json', 'README.md', 'LICENSE', 'schemas', 'docs', 'test']) {
    await cp(join(root, name), join(installed, name), { recursive: true });
  }
  // The output is the same without type checks, in half the time.
  const build = ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(installed, 'dist')];
  await run(root, compiler, ...build);
});

afterAll(async () => {
  await rm(consumer, { recursive: true, force: true });
});

describe('worker package', () => {
  test('is built before packing, and contains only the build, the schemas and the documents', async () => {
    const { scripts, exports, bin } = await readManifest();
    expect(scripts.prepack).toBe('npm run build');
    const { stdout } = await promisify(execFile)(
      'npm',
      ['pack', '--dry-run', '--json', '--ignore-scripts'],
      { cwd: installed },
    );
    const listing: unknown = JSON.parse(stdout);
    const [packed] = z
      .array(z.object({ files: z.array(z.object({ path: z.string() })) }))
      .parse(Array.isArray(listing) ? listing : Object.values(listing ?? {}));
    const paths = packed?.files.map(({ path }) => path) ?? [];
    const wanted = Object.values(exports)
      .flatMap((one) => (typeof one === 'string' ? [one] : [one.types, one.default]))
      .concat(Object.values(bin))
      .map((path) => path.replace('./', ''))
      .filter((path) => !path.includes('*'));
    expect(paths).toEqual(expect.arrayContaining(wanted));
    expect(paths).toContain('schemas/tokenization.request.json');
    expect(paths).toContain('docs/openapi.json');
    const allowed =
      /^(?:dist\/(?:src|migrations)\/|schemas\/|docs\/|package\.json$|README\.md$|LICENSE$)/;
    expect(paths.filter((path) => !allowed.test(path))).toEqual([]);
  });

  test('runs as token-worker through a link on the PATH, as the image has it', async () => {
    const { bin } = await readManifest();
    const built = join(installed, bin['token-worker'] ?? '');
    await chmod(built, 0o755);
    const link = join(consumer, 'token-worker');
    await symlink(built, link);
    const { stdout } = await promisify(execFile)('token-worker', ['--help'], {
      env: { PATH: `${consumer}:${dirname(process.execPath)}:/usr/bin:/bin` },
    });
    const documents = [
      'README.md',
      ...(await readdir(join(root, 'docs'))).map((name) => `docs/${name}`),
    ];
    const texts = await Promise.all(
      documents
        .filter((name) => name.endsWith('.md'))
        .map(async (name) => await readFile(join(root, name), 'utf8')),
    );
    const named = texts.flatMap((text) =>
      [...text.matchAll(/(?:\btoken-worker|npm run (?:-s )?cli --) ([a-z-]+)/g)].map(
        ([, command]) => command,
      ),
    );
    expect(named.length).toBeGreaterThan(20);
    const commands = [...stdout.matchAll(/^ {2}([a-z-]+)/gm)].map(([, command]) => command);
    expect([...new Set(named)].filter((command) => !commands.includes(command))).toEqual([]);
  });

  test('runs its command and exports each entry', async () => {
    const { exports, bin } = await readManifest();
    const help = await run(installed, join(installed, bin['token-worker'] ?? ''), '--help');
    expect(help.stdout).toContain('Usage: token-worker');
    const entries = Object.keys(exports).filter((name) => !name.includes('*'));
    const names = entries.map((name) => name.replace('.', 'token-lifecycle-worker'));
    const use = `for (const name of ${JSON.stringify(names)}) {
      const type = name.endsWith('.json') ? { with: { type: 'json' } } : {};
      console.log(name, Object.keys(await import(name, type)).join());
    }`;
    const { stdout } = await run(consumer, '--input-type=module', '--eval', use);
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^token-lifecycle-worker\/sandbox .*startSandbox/),
      'token-lifecycle-worker/package.json default',
    ]);
  });
});
