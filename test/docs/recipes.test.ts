import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { createTestDatabase, onServer, type TestDatabase } from '../support/services/database.ts';
import { readSection, type Section, sectionsOf } from '../support/document.ts';
import { connectEnqueuer, type Enqueuer } from '../support/harness/enqueuer.ts';
import {
  areProgramsRequired,
  isProgramThere,
  programEnv,
  runProgram,
} from '../support/services/programs.ts';
import { openShop } from '../support/harness/shop.ts';
import { startTestWorker, type TestWorker } from '../support/harness/worker.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** Long enough for a cold compiler on a busy machine. */
const recipeTimeoutMs = 120_000;

/** How to run a recipe. */
interface Launch {
  readonly file: string;
  readonly program: readonly string[];
  /** A command that succeeds if the program is installed. */
  readonly probe: readonly string[];
  /** The output of a recipe that does not wait for the redirect URL. */
  readonly prints?: 'the id' | 'a job id';
  readonly needsRedis?: boolean;
}

const launches: Readonly<Record<string, Launch>> = {
  'TypeScript, with the client': {
    file: 'request.ts',
    program: [process.execPath],
    probe: [process.execPath, '--version'],
  },
  'Node.js, raw BullMQ': {
    file: 'request.mjs',
    program: [process.execPath],
    probe: [process.execPath, '--version'],
    prints: 'a job id',
    needsRedis: true,
  },
  'SQL, with psql': {
    file: 'request.sh',
    program: ['bash'],
    probe: ['psql', '--version'],
    prints: 'the id',
  },
  'Python, standard library': {
    file: 'request.py',
    program: ['python3'],
    probe: ['python3', '--version'],
  },
  'Python, psycopg': {
    file: 'request.py',
    program: ['python3'],
    probe: ['python3', '-c', 'import psycopg; assert psycopg.__version__ >= "3"'],
    prints: 'the id',
  },
  PHP: { file: 'request.php', program: ['php'], probe: ['php', '--version'] },
  Java: { file: 'Request.java', program: ['java'], probe: ['javac', '--version'] },
  Go: { file: 'request.go', program: ['go', 'run'], probe: ['go', 'version'] },
};

const section = await readSection('enqueueing.md', 'Recipes');
const recipes = sectionsOf(section.text, 3);

let database: TestDatabase;
let worker: TestWorker;
let backend: Enqueuer;
let env: Readonly<Record<string, string>>;

beforeAll(async () => {
  database = await createTestDatabase();
  const encryptionKeys = `k1:${generateEncryptionKey('k1').key.reveal()}`;
  const started = await startTestWorker({
    databaseUrl: database.url,
    backend: inject('redisUrl') === '' ? 'postgres' : 'redis',
    env: { CALLBACK_PUBLIC_URL: 'https://pay.example', ENCRYPTION_KEYS: encryptionKeys },
  });
  if (started === undefined) throw new Error('the worker did not start');
  worker = started;
  backend = await connectEnqueuer(database.url);
  env = {
    ...programEnv,
    TOKEN_WORKER_URL: worker.app.urls?.private ?? '',
    TOKEN_WORKER_KEY: await keyAsDocumented({
      ...programEnv,
      DATABASE_URL: database.url,
      ENCRYPTION_KEYS: encryptionKeys,
    }),
    DATABASE_URL: await loginOf(backend.role),
    REDIS_URL: inject('redisUrl'),
    QUEUE_PREFIX: worker.prefix,
  };
});

afterAll(async () => {
  await backend.close();
  await worker.close();
  await database.drop();
});

test('each recipe says that the tests run it, and on what condition', () => {
  expect(recipes.map(({ title }) => title)).toEqual(Object.keys(launches));
  for (const recipe of recipes) {
    expect(recipe.blocks, recipe.title).toHaveLength(1);
    expect(recipe.text, recipe.title).toMatch(/^\nRun by the test suite(?:\.|,| where)/);
  }
});

test.for(recipes)(
  'the recipe "$title" enqueues one request',
  { timeout: recipeTimeoutMs, concurrent: true },
  async (recipe, { skip }) => {
    const launch = launches[recipe.title];
    if (launch === undefined) throw new Error('this test does not know how to run it');
    if (launch.needsRedis === true && env['REDIS_URL'] === '') return skip('no Redis');
    if (!(await isProgramThere(launch.probe))) {
      // CI must run each recipe that the document promises without a condition.
      const isPromised = !recipe.text.startsWith('\nRun by the test suite where');
      if (isPromised && areProgramsRequired) throw new Error('its program is missing');
      return skip(`${launch.probe[0]} is missing`);
    }
    const releases = launch.needsRedis === true ? ['bullmq', 'bullmq5'] : ['bullmq'];
    for (const [index, bullmq] of releases.entries()) {
      const reference = `order-${recipes.indexOf(recipe)}-${index}`;
      const printed = await runRecipe(recipe, launch, reference, bullmq);
      const row = await openShop(worker).until(reference, 'awaiting_customer');
      const printable = {
        'the page': row.redirect_url,
        'the id': row.id,
        'a job id': expect.stringMatching(/^\S+$/),
      };
      expect(printed).toEqual(printable[launch.prints ?? 'the page']);
      const { creations } = worker.sandbox.state();
      const own = creations.filter((creation) => creation.merchantReferenceId === reference);
      expect(own).toHaveLength(1);
    }
    expect(await listDeadLetters(worker.app.operations.db, 10)).toEqual([]);
  },
);

/** Runs a recipe exactly as the document has it, and returns its output. */
async function runRecipe(
  { blocks }: Section,
  { file, program: [program = '', ...options] }: Launch,
  reference: string,
  bullmq: string,
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'token-lifecycle-recipe-'));
  try {
    await installPackages(directory, bullmq);
    await writeFile(join(directory, file), blocks[0]?.code ?? '');
    const { stdout } = await runProgram(program, [...options, file, reference], {
      cwd: directory,
      env,
    });
    return stdout.trim();
  } finally {
    await rm(directory, { recursive: true });
  }
}

/**
 * Installs packages as `npm install` would, with the client's sources from this tree. They stay
 * outside `node_modules`, where Node.js does not strip types.
 */
async function installPackages(directory: string, bullmq: string): Promise<void> {
  const modules = join(directory, 'node_modules');
  const ours = join(directory, 'client');
  await mkdir(modules);
  await mkdir(ours);
  await writeFile(join(ours, 'client.ts'), `export * from '${root}src/client/client.ts';`);
  await writeFile(
    join(ours, 'package.json'),
    JSON.stringify({ type: 'module', exports: './client.ts' }),
  );
  await symlink(ours, join(modules, 'token-lifecycle-client'));
  await symlink(join(root, 'node_modules', bullmq), join(modules, 'bullmq'));
  await writeFile(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
}

/** Creates the API key with the command of the document. */
async function keyAsDocumented(environment: Readonly<Record<string, string>>): Promise<string> {
  const command = section.blocks.find(({ language }) => language === 'bash')?.code ?? '';
  const { stdout } = await runProgram('bash', ['-c', `${command}\necho "$TOKEN_WORKER_KEY"`], {
    cwd: root,
    env: environment,
  });
  return stdout.trim();
}

/** Lets the backend's role log in, and returns the URL of that login. */
async function loginOf(role: string): Promise<string> {
  const url = new URL(database.url);
  url.username = role;
  url.password = randomBytes(12).toString('hex');
  await onServer(database.url, async (client) => {
    await client.query(`alter role ${role} login password '${url.password}'`);
  });
  return url.href;
}
