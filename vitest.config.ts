import { defineConfig } from 'vitest/config';

/** OpenAPI names schemas in zod's registry, which changes what other files of a process see. */
const alone = ['test/domain/payload/payload-types.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
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
