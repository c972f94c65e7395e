import type { OperationDependencies } from '../../../src/execution/dependencies.ts';

/** A reader of access tokens that nobody reads from. */
export const noAccessTokens = {
  read: async (): Promise<never> =>
    await Promise.reject(new Error('nothing was to read an access token')),
  invalidate: () => undefined,
};

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
