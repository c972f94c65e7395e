import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** OpenAPI names schemas in zod's registry, which changes what other files of a process see. */
const alone = ['test/domain/payload/payload-types.test.ts'];

export default defineConfig({
  test: {
    // Processes that tests start take stripped sources from here: 40 % less CPU time for each.
    env: {
      NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/node', import.meta.url)),
    },
    pool: 'forks',
    maxWorkers: 2,
    // Limits that end a hung test. A loaded machine takes many times as long as an idle one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          globalSetup: ['test/support/services/global-setup.ts'],
          // The files of a process share their modules and their emptied databases: a third faster.
          isolate: false,
        },
      },
      { extends: true, test: { name: 'alone', include: alone } },
    ],
  },
});
