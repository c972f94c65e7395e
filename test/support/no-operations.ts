import type { OperationDependencies } from '../../src/jobs/job-dependencies.ts';

const unusable = new Proxy(
  {},
  {
    get(_target, name) {
      throw new Error(`nothing was to use ${String(name)}`);
    },
  },
);

/** For servers of which no route is called that works on anything: each use fails. */
export const noOperations = new Proxy({} as OperationDependencies, {
  ownKeys: () => [],
  get: () => unusable,
});
