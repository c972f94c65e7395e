import type { OperationDependencies } from '../../../src/execution/dependencies.ts';

/** A reader of access tokens for tests that read none: each read fails. */
export const noAccessTokens = {
  read: async (): Promise<never> =>
    await Promise.reject(new Error('this test must not read an access token')),
  invalidate: () => undefined,
};

const unusable = new Proxy(
  {},
  {
    get(_target, name) {
      throw new Error(`this test must not use ${String(name)}`);
    },
  },
);

/** Dependencies for servers whose routes are not called: each use fails. */
export const noOperations = new Proxy({} as OperationDependencies, {
  ownKeys: () => [],
  get: () => unusable,
});
