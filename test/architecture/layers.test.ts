import { execFile } from 'node:child_process';
import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { brokenRules, importCycles, mayImport, packageOwners, type SourceFile } from './layers.ts';

const source = new URL('../../src/', import.meta.url);

async function readSources(): Promise<readonly SourceFile[]> {
  const files: SourceFile[] = [];
  for (const pattern of ['**/*.ts', '../migrations/*.ts']) {
    for await (const path of glob(pattern, { cwd: fileURLToPath(source) })) {
      files.push({ path, text: await readFile(new URL(path, source), 'utf8') });
    }
  }
  return files;
}

test('imports point down, packages have owners, and pure folders import nothing impure', async () => {
  const files = await readSources();
  expect(files.length).toBeGreaterThan(100);
  expect(files.some(({ path }) => path.startsWith('../migrations/'))).toBe(true);
  expect(brokenRules(files)).toEqual([]);
});

test('no file imports itself through others, not even for types', async () => {
  expect(importCycles(await readSources())).toEqual([]);
});

test.each([
  ['values', "import { x } from '../b/two.ts';", "import { y } from '../a/one.ts';"],
  ['types', "import type { X } from '../b/two.ts';", "import type { Y } from '../a/one.ts';"],
  ['re-exports', "export { x } from '../b/two.ts';", "const y = await import('../a/one.ts');"],
])('a cycle of %s is reported', (_kind, one, two) => {
  const files = [
    { path: 'a/one.ts', text: one },
    { path: 'b/two.ts', text: two },
    { path: 'c/outside.ts', text: "import { x } from '../a/one.ts';" },
  ];
  expect(importCycles(files)).toEqual([['a/one.ts', 'b/two.ts']]);
});

test('a chain of imports is no cycle', () => {
  const files = [
    { path: 'a/one.ts', text: "import { x } from '../b/two.ts';" },
    { path: 'b/two.ts', text: "import { y } from '../../migrations/three.ts';" },
    { path: '../migrations/three.ts', text: '' },
  ];
  expect(importCycles(files)).toEqual([]);
});

test('every row of the table names a folder or file that exists', async () => {
  const files = await readSources();
  const folders = new Set(files.map(({ path }) => path.replace('../', '').split('/')[0]));
  expect(Object.keys(mayImport).filter((folder) => !folders.has(folder))).toEqual([]);
});

const isFile = (folder: string): boolean => folder.endsWith('.ts');
const pathIn = (folder: string): string => {
  if (folder === 'migrations') return '../migrations/a.ts';
  return isFile(folder) ? folder : `${folder}/a.ts`;
};
const importOf = (folder: string, target: string): string => {
  const up = isFile(folder) ? './' : folder === 'migrations' ? '../src/' : '../';
  return `import { x } from '${up}${isFile(target) ? target : `${target}/a.ts`}';`;
};

test.each(Object.keys(mayImport))('%s may import what its row names and nothing else', (folder) => {
  const others = Object.keys(mayImport).filter((name) => name !== folder && name !== 'migrations');
  const refused = others.filter(
    (name) => brokenRules([{ path: pathIn(folder), text: importOf(folder, name) }]).length > 0,
  );
  expect(refused).toEqual(others.filter((name) => !mayImport[folder]?.includes(name)));
});

test.each(Object.entries(packageOwners))('%s is imported by %j alone', (name, owners) => {
  const refused = Object.keys(mayImport).filter((folder) => {
    const files = [{ path: pathIn(folder), text: `import { x } from '${name}/deep';` }];
    return brokenRules(files).length > 0;
  });
  expect(refused).toEqual(Object.keys(mayImport).filter((folder) => !owners.includes(folder)));
});

// A guard that reads nothing never fails: each rule has to catch its canary.
test.each([
  ['domain/a.ts', "import { x } from '../db/database.ts';", 'domain may not import db'],
  ['jobs/a.ts', "import type { x } from '../queues/worker.ts';", 'jobs may not import queues'],
  ['execution/a.ts', "import { x } from '../tokenization/row.ts';", 'may not import tokenization'],
  ['account/a.ts', "import { x } from '../credential/store.ts';", 'may not import credential'],
  ['delivery/a.ts', "import { x } from '../tokenization/row.ts';", 'may not import tokenization'],
  ['dead-letter/a.ts', "import { x } from '../jobs/registry.ts';", 'may not import jobs'],
  ['tokenization/a.ts', "import { x } from '../callback/accept.ts';", 'may not import callback'],
  ['access-token/a.ts', "import { x } from '../credential/store.ts';", 'not import credential'],
  ['callback/a.ts', "import { x } from '../access-token/row.ts';", 'may not import access-token'],
  ['credential/a.ts', "import { x } from '../tokenization/row.ts';", 'not import tokenization'],
  ['jobs/a.ts', "import { Queue } from 'bullmq';", 'only queues may import bullmq'],
  ['queues/a.ts', "import { Queue } from 'bullmq5';", 'only tests may import bullmq5'],
  ['jobs/a.ts', "import type {\n  Queue,\n} from 'bullmq';", 'only queues may import bullmq'],
  ['http/a.ts', "const x = await import('ioredis');", 'only queues may import ioredis'],
  ['jobs/a.ts', "export { sql } from 'kysely';", 'only db and migrations may import kysely'],
  ['cli/a.ts', "import '@bull-board/api';", 'only http may import @bull-board'],
  ['db/a.ts', "import { x } from '../app.ts';", 'db may not import app.ts'],
  ['sandbox/a.ts', "import { x } from '../gateway/client.ts';", 'sandbox may not import gateway'],
  [
    'execution/a.ts',
    "import { x } from '../observability/logger.ts';",
    'may not import observability',
  ],
  ['jobs/a.ts', 'const x = process.env.HOME;', 'jobs may not use'],
  ['config/a.ts', "import { env } from 'node:process';", 'config may not use'],
  ['domain/a.ts', 'const x = Date.now();', 'domain may not use'],
  ['domain/a.ts', 'const x = performance.now();', 'domain may not use'],
  ['domain/a.ts', 'const x = Math.random();', 'domain may not use'],
  ['domain/a.ts', 'const x = crypto.randomUUID();', 'domain may not use'],
  [
    'domain/a.ts',
    "import { x } from 'node:fs';",
    'domain may import zod and temporal-polyfill only',
  ],
  [
    'domain/a.ts',
    "const x = await import('node:crypto');",
    'domain may import zod and temporal-polyfill only',
  ],
  [
    'domain/a.ts',
    "import { x } from 'lossless-json';",
    'domain may import zod and temporal-polyfill only',
  ],
  ['jobs/a.ts', "import { x } from '../../migrations/a.ts';", 'jobs may not import migrations'],
  [
    'db/a.ts',
    "import { x } from '../../migrations/a.ts';",
    'only db/connection/migrations.ts may import',
  ],
  ['../migrations/a.ts', "import pg from 'pg';", 'migrations may import kysely only'],
  ['../migrations/a.ts', "import { x } from 'node:fs';", 'migrations may import kysely only'],
  ['../migrations/a.ts', "import { x } from '../src/db/a.ts';", 'migrations may not import db'],
  ['helpers/a.ts', 'export const x = 1;', 'is in no layer'],
])('%s with %j is reported', (path, text, fault) => {
  expect(brokenRules([{ path, text }]).join('\n')).toContain(fault);
});

test.each([
  ['sandbox/a.ts', "import { x } from '../gateway/signature-fields.ts';"],
  ['execution/a.ts', "import type { Logger } from '../observability/logger.ts';"],
  ['db/connection/migrations.ts', "import * as x from '../../../migrations/0001_roles.ts';"],
  ['../migrations/a.ts', "import { sql } from 'kysely';"],
  ['jobs/a.ts', '// The queue comes from bullmq, ids from process.'],
])('%s with %j is fine', (path, text) => {
  expect(brokenRules([{ path, text }])).toEqual([]);
});

test('importing a file has no effect: nothing is printed and nothing keeps the process alive', async () => {
  const files = (await readSources())
    .map(({ path }) => path)
    .filter((path) => path !== 'cli/main.ts' && !path.startsWith('../'));
  expect(await effectsOf(files.map((path) => new URL(path, source).href))).toBe('');
});

test.each([
  ['console.log(1)', '1'],
  ['setInterval(() => {}, 1_000)', 'kept alive by Timeout'],
  ["import net from 'node:net'; net.createServer().listen(0)", 'kept alive by TCPServerWrap'],
  ["throw new Error('no')", 'Error: no'],
])('an import that runs %j is reported', async (text, effect) => {
  expect(await effectsOf([`data:text/javascript,${encodeURIComponent(text)}`])).toContain(effect);
});

/**
 * Imports modules in one process of their own and returns what it printed; empty when it also ended
 * by itself.
 */
async function effectsOf(urls: readonly string[]): Promise<string> {
  const imports = urls.map((url) => `await import(${JSON.stringify(url)});`);
  // Fires only in a process that something else keeps alive.
  const alarm = `setTimeout(() => {
    console.log('kept alive by', ...process.getActiveResourcesInfo());
    process.exit();
  }, 500).unref();`;
  const run = promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    [...imports, alarm].join('\n'),
  ]);
  try {
    const { stdout, stderr } = await run;
    return stdout + stderr;
  } catch (error) {
    // The message carries what the process wrote on standard error, and is never empty, even for
    // one that hung.
    return String(error);
  }
}
