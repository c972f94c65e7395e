import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { bullmqCommands } from '../../src/queues/redis-probe.ts';

/** Commands that name no key, or name it in another place than the first argument. */
const withoutKey = new Set(['time', 'xread']);

test('the probe asks about every command in the scripts of BullMQ', async () => {
  const main = createRequire(import.meta.url).resolve('bullmq');
  const scripts = join(dirname(main), 'scripts');
  const found = new Set<string>();
  for (const name of await readdir(scripts)) {
    if (!name.endsWith('.js')) continue;
    const text = await readFile(join(scripts, name), 'utf8');
    for (const [, command = ''] of text.matchAll(/\br?call\(\s*["'](\w+)["']/gi)) {
      found.add(command.toLowerCase());
    }
  }
  expect(found.size).toBeGreaterThan(40);
  const missing = [...found].filter(
    (command) => !withoutKey.has(command) && !bullmqCommands.includes(command),
  );
  expect(missing).toEqual([]);
});
