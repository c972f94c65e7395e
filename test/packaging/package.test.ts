import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { makeKey } from '../support/harness/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/services/database.ts';
import { redisPlace } from '../support/harness/fixtures.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
// Inside the project, where the package's own dependencies are found from, but out of everybody's way.
const consumer = join(root, `node_modules/.cache/consumer-${process.pid}`);
const installed = join(consumer, 'node_modules/token-lifecycle-worker');
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const inPackage = '/node_modules/token-lifecycle-worker/';

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

/** The programs of docs/client.md, in order. */
async function readExamples(): Promise<readonly string[]> {
  const text = await readFile(join(root, 'docs/client.md'), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

/** A backend's project that has the package as npm would put it there, built from these sources. */
beforeAll(async () => {
  await mkdir(installed, { recursive: true });
  await writeFile(join(consumer, 'package.json'), '{"type":"module"}');
  for (const name of ['package.json', 'README.md', 'LICENSE', 'schemas', 'docs', 'test']) {
    await cp(join(root, name), join(installed, name), { recursive: true });
  }
  // What it writes is the same without the check, which is not this test's, in half the time.
  const build = ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', join(installed, 'dist')];
  await run(root, compiler, ...build);
}, 120_000);

afterAll(async () => {
  await rm(consumer, { recursive: true, force: true });
});

describe('the package', () => {
  test('is built before it is packed, and holds the build, the schemas and the documents alone', async () => {
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

  test('runs, and gives each of its entries', async () => {
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
      'token-lifecycle-worker/client TokenClientError,createTokenClient',
      'token-lifecycle-worker/client/direct TokenClientError,UnwrittenHandOutsError,addToQueue,enqueueIn,openDirectTokenClient',
      expect.stringMatching(/^token-lifecycle-worker\/sandbox .*startSandbox/),
      'token-lifecycle-worker/package.json default',
    ]);
  });
});

describe('docs/client.md', () => {
  let database: TestDatabase;
  let worker: TestWorker;
  const shop = makeKey('shop');
  const redis = redisPlace();
  const callbackPublicUrl = 'https://pay.example';

  beforeAll(async () => {
    database = await createTestDatabase();
    const started = await startTestWorker({
      databaseUrl: database.url,
      backend: redis === undefined ? 'postgres' : 'redis',
      env: { API_KEYS: shop.entry, CALLBACK_PUBLIC_URL: callbackPublicUrl },
    });
    if (started === undefined) throw new Error('the worker did not start');
    worker = started;
    const examples = await readExamples();
    await Promise.all(
      examples.map(async (code, index) => {
        await writeFile(join(consumer, `example-${index}.mts`), code);
      }),
    );
  });

  afterAll(async () => {
    await worker.close();
    await database.drop();
  });

  test('holds programs that compile without one unchecked type, of the package and of zod alone, and that do what they say', async ({
    skip,
  }) => {
    const examples = await readExamples();
    expect(examples).toHaveLength(5);
    const sources = examples.map((_, index) => `example-${index}.mts`);
    const flags =
      '--ignoreConfig --strict --listFiles --module nodenext --target es2024 --types node';
    const { stdout: files } = await run(consumer, compiler, ...flags.split(' '), ...sources);
    // What the types of the package lead to: a backend needs no types of the worker's own packages.
    const ours = files.split('\n').flatMap((path) => path.split(inPackage)[1] ?? []);
    expect(ours.length).toBeGreaterThan(5);
    expect(
      ours.filter((path) => !/^dist\/src\/(?:client|direct-client|domain)\//.test(path)),
    ).toEqual([]);
    expect(files).not.toContain('/kysely/');

    const env = {
      TOKEN_WORKER_URL: worker.app.urls?.private,
      TOKEN_WORKER_KEY: shop.key,
      DATABASE_URL: database.url,
      ENCRYPTION_KEYS: worker.encryptionKeys,
      CALLBACK_PUBLIC_URL: callbackPublicUrl,
      REDIS_URL: redis?.url,
      QUEUE_PREFIX: worker.prefix,
    };
    const saidBy = async (index: number): Promise<string> => {
      const example = [`example-${index}.mjs`];
      const said = await promisify(execFile)(process.execPath, example, { cwd: consumer, env });
      expect(said.stderr).toBe('');
      return said.stdout;
    };
    // The second one looks for what the first one asked for.
    const [first, direct, enqueued] = await Promise.all([0, 2, 3].map(saidBy));
    const customer = new RegExp(`^send the customer to ${worker.sandbox.checkoutUrl}`);
    for (const said of [first, direct, enqueued]) expect(said).toMatch(customer);
    expect(await saidBy(1)).toMatch(
      /^now awaiting_customer\nseen before false\naccess token \d+ true\n$/,
    );
    if (redis === undefined) return skip('there is no Redis for the example on BullMQ');
    expect(await saidBy(4)).toBe('renewal asked for\n');
  });
});
