import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { makeKey } from '../support/harness/api.ts';
import { redisPlace } from '../support/harness/fixtures.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';
import { createTestDatabase, type TestDatabase } from '../support/services/database.ts';
import { freePort } from '../support/services/services.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const packageDirectory = join(root, 'packages/client');
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const bundler = join(root, 'node_modules/tsdown/dist/run.mjs');
const peers = ['pg', 'kysely', 'fast-xml-parser', 'lossless-json', '@remix-run/multipart-parser'];

const run = async (cwd: string, command: string, ...args: readonly string[]) =>
  await promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26 });
const runNode = async (cwd: string, ...args: readonly string[]) =>
  await run(cwd, process.execPath, ...args);

let directory: string;
/** A backend outside the project that has only the packed client installed. */
let consumer: string;
let installed: string;

async function pack(source: string): Promise<string> {
  const { stdout } = await run(directory, 'npm', 'pack', source, '--ignore-scripts', '--silent');
  return join(directory, stdout.trim());
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-client-'));
  const staging = join(directory, 'staging');
  await mkdir(staging);
  for (const name of ['package.json', 'README.md']) {
    await cp(join(packageDirectory, name), join(staging, name));
  }
  await runNode(packageDirectory, bundler, '--out-dir', join(staging, 'dist'), '--logLevel=error');
  const tarballs = await Promise.all(
    [staging, join(root, 'node_modules/ky'), join(root, 'node_modules/zod')].map(pack),
  );
  consumer = join(directory, 'backend');
  await mkdir(consumer);
  await writeFile(join(consumer, 'package.json'), '{"private":true}');
  const flags = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts', '--silent'];
  await run(consumer, 'npm', 'install', ...flags, ...tarballs);
  installed = join(consumer, 'node_modules/token-lifecycle-client');
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('packed client', () => {
  test('installs as three packages', async () => {
    const { stdout } = await run(consumer, 'npm', 'ls', '--all', '--parseable');
    const names = stdout.trim().split('\n').slice(1);
    expect(names.map((path) => path.split('node_modules/')[1] ?? '').toSorted()).toEqual([
      'ky',
      'token-lifecycle-client',
      'zod',
    ]);
  });

  test('contains only its build and its README', async () => {
    expect((await readdir(installed)).toSorted()).toEqual(['README.md', 'dist', 'package.json']);
    const files = await readdir(join(installed, 'dist'));
    expect(files.filter((name) => !/\.(?:js|d\.ts)$/.test(name))).toEqual([]);
  });

  const use = `
    const client = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x' });
    client.getTokenization('not-an-id').catch((error) => {
      console.log(error instanceof TokenClientError, error.code);
    });`;
  test.for([
    ['an ES module', 'esm.mjs', `import { createTokenClient, TokenClientError } from`, ''],
    ['CommonJS', 'cjs.cjs', 'const { createTokenClient, TokenClientError } = require(', ')'],
  ])('works from %s', async ([, file = '', before = '', after = '']) => {
    await writeFile(join(consumer, file), `${before} 'token-lifecycle-client'${after};${use}`);
    const { stdout, stderr } = await runNode(consumer, file);
    expect(stdout).toBe('true payload_invalid\n');
    expect(stderr).toBe('');
  });

  test('compiles in strict TypeScript without types of Node.js', async () => {
    const code = `
      import { createTokenClient, type TokenizationView } from 'token-lifecycle-client';
      const client = createTokenClient({ url: 'http://127.0.0.1:1', apiKey: 'x' });
      export const found: Promise<TokenizationView | undefined> =
        client.findTokenization({ merchantReferenceId: 'order-1' });
      // @ts-expect-error an amount is text, so no money is lost in a floating-point number
      export const refused = client.requestTokenization({ order: { amount: 12.5 } });`;
    await writeFile(join(consumer, 'strict.mts'), code);
    const flags = '--strict --skipLibCheck false --noEmit --module nodenext --target es2022';
    const libraries = ['--lib', 'es2022,dom,dom.iterable', '--types', ''];
    const compile = runNode(consumer, compiler, ...flags.split(' '), ...libraries, 'strict.mts');
    await expect(compile).resolves.toMatchObject({ stdout: '' });
  });

  test('loads the enqueue entry without peers, and names a missing peer of the direct client', async () => {
    const load = async (entry: string) =>
      await runNode(consumer, '--eval', `console.log(Object.keys(require('${entry}')).join())`);
    expect((await load('token-lifecycle-client/enqueue')).stdout).toBe(
      'TokenClientError,addToQueue,enqueueIn\n',
    );
    await expect(load('token-lifecycle-client/direct')).rejects.toMatchObject({
      stderr: expect.stringMatching(/Cannot find package '(?:pg|kysely|fast-xml-parser)'/),
    });
  });
});

describe('examples', () => {
  let database: TestDatabase;
  let worker: TestWorker;
  /** A backend with the packed client and every package that an example imports. */
  let backend: string;
  const shop = makeKey('shop');
  const redis = redisPlace();
  const callbackPublicUrl = 'https://pay.example';
  const webhookSecret = `whsec_${randomBytes(32).toString('base64')}`;
  let receiver: ChildProcessWithoutNullStreams;
  let received = '';

  beforeAll(async () => {
    backend = join(directory, 'examples');
    await cp(join(root, 'examples'), backend, { recursive: true });
    const modules = join(backend, 'node_modules');
    await mkdir(modules);
    await cp(installed, join(modules, 'token-lifecycle-client'), { recursive: true });
    for (const name of ['ky', 'zod', '@types', 'bullmq', 'standardwebhooks', ...peers]) {
      await mkdir(dirname(join(modules, name)), { recursive: true });
      await symlink(join(root, 'node_modules', name), join(modules, name));
    }
    await writeFile(join(backend, 'package.json'), '{"type":"module"}');
    const port = await freePort();
    receiver = spawn(process.execPath, ['webhook-receiver.ts'], {
      cwd: backend,
      env: { MERCHANT_WEBHOOK_SECRET: webhookSecret, PORT: String(port) },
    });
    receiver.stdout.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    database = await createTestDatabase();
    const started = await startTestWorker({
      databaseUrl: database.url,
      backend: redis === undefined ? 'postgres' : 'redis',
      env: {
        API_KEYS: shop.entry,
        CALLBACK_PUBLIC_URL: callbackPublicUrl,
        MERCHANT_WEBHOOK_URL: `http://127.0.0.1:${port}/`,
        MERCHANT_WEBHOOK_SECRETS: webhookSecret,
        MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
      },
    });
    if (started === undefined) throw new Error('the worker did not start');
    worker = started;
  });

  afterAll(async () => {
    receiver.kill();
    await worker.close();
    await database.drop();
  });

  test('compile in strict TypeScript', async () => {
    const sources = (await readdir(backend)).filter((name) => name.endsWith('.ts'));
    expect(sources).toHaveLength(6);
    const flags =
      '--ignoreConfig --strict --noEmit --listFiles --module nodenext --target es2024 --types node';
    const { stdout: files } = await runNode(backend, compiler, ...flags.split(' '), ...sources);
    // The client's declarations import none of a peer, so a backend needs no types of peers.
    const read = files.split('\n');
    expect(read.filter((path) => path.includes('/token-lifecycle-client/dist/'))).not.toEqual([]);
    const isOfPeer = (path: string) =>
      peers.some((name) => name !== 'pg' && path.includes(`/${name}/`));
    expect(read.filter(isOfPeer)).toEqual([]);
  });

  test('run against a worker and print what they promise', async ({ skip }) => {
    const env = {
      TOKEN_WORKER_URL: worker.app.urls?.private,
      TOKEN_WORKER_KEY: shop.key,
      DATABASE_URL: database.url,
      ENCRYPTION_KEYS: worker.encryptionKeys,
      CALLBACK_PUBLIC_URL: callbackPublicUrl,
      REDIS_URL: redis?.url,
      QUEUE_PREFIX: worker.prefix,
    };
    const outputOf = async (name: string): Promise<string> => {
      const output = await promisify(execFile)(process.execPath, [`${name}.ts`], {
        cwd: backend,
        env,
      });
      expect(output.stderr).toBe('');
      return output.stdout;
    };
    const requests = ['request-over-http', 'request-on-postgres', 'enqueue-in-transaction'];
    const customer = new RegExp(`^send the customer to ${worker.sandbox.checkoutUrl}`);
    for (const output of await Promise.all(requests.map(outputOf))) {
      expect(output).toMatch(customer);
    }
    // follow-up needs the tokenization of request-over-http.
    expect(await outputOf('follow-up')).toMatch(
      /^now awaiting_customer\nseen before false\naccess token \d+ true\n$/,
    );
    await eventually(
      'three webhooks are received',
      () => received.match(/^tokenization\.redirect_issued \S+$/gm)?.length === 3,
    );
    if (redis === undefined) return skip('there is no Redis for the example on BullMQ');
    expect(await outputOf('add-to-queue')).toBe('renewal asked for\n');
  });

  test('are copied into docs/client.md unchanged', async () => {
    const text = await readFile(join(root, 'docs/client.md'), 'utf8');
    const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
    const names = (await readdir(join(root, 'examples'))).filter((name) => name.endsWith('.ts'));
    const programs = await Promise.all(
      names.map(async (name) => await readFile(join(root, 'examples', name), 'utf8')),
    );
    expect(blocks).toHaveLength(5);
    expect(programs).toEqual(expect.arrayContaining(blocks));
  });
});
