import { afterAll, afterEach } from 'vitest';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts';
import { type MerchantClient, clientOf } from './client.ts';

/** The sandbox of a test file and a client for it. */
export interface SandboxHarness {
  readonly sandbox: Sandbox;
  readonly client: MerchantClient;
  /** Clears all state and restores the initial fault switches. */
  readonly reset: () => Promise<void>;
}

/** Starts a sandbox for the test file, resets it after each test and closes it at the end. */
export async function useSandbox(options?: SandboxOptions): Promise<SandboxHarness> {
  const sandbox = await startSandbox(options);
  const reset = async (): Promise<void> => {
    await fetch(`${sandbox.url}/sandbox/reset`, { method: 'POST' });
  };
  afterEach(reset);
  afterAll(() => sandbox.close());
  return { sandbox, client: clientOf(sandbox), reset };
}
