import { describe, expect } from 'vitest';
import { test } from '../support/harness/fixtures.ts';
import { runNpmScript } from '../support/harness/run-npm-script.ts';

/** The long-lived npm scripts, and how each says that it is up and where it listens. */
const scripts = [
  { args: ['start'], url: /"private":"([^"]+)"/ },
  { args: ['run', 'demo', '--', '--tokens', '0'], url: /Still running; look at (\S+)\/queues/ },
  { args: ['run', 'cli', '--', 'sandbox', '--port', '0'], url: /listens on (\S+)/ },
] as const;

describe('npm', () => {
  test.for(scripts)(
    '$args shuts down gracefully after a SIGTERM to npm, with exit code 0 and no process left',
    async (script, { databaseUrl }) => {
      const { pid, url, ended } = await runNpmScript(script, databaseUrl);
      expect((await fetch(url)).status).toBeLessThan(500);
      process.kill(pid, 'SIGTERM');
      expect(await ended).toEqual([0, null]);
      await expect(fetch(url)).rejects.toThrow('fetch failed');
    },
  );

  test('start treats copies of one signal, from a terminal and from npm, as one request to stop', async ({
    databaseUrl,
  }) => {
    const { pid, output, ended } = await runNpmScript(scripts[0], databaseUrl);
    process.kill(-pid, 'SIGINT');
    await ended;
    expect(output()).toContain('"part":"database","isClosed":true');
  });
});
