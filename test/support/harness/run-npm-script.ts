import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { generateEncryptionKey } from '../../../src/security/keyring.ts';
import { eventually } from '../eventually.ts';
import { programEnv } from '../services/programs.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A long-lived npm script, and where it prints the URL of its listener once it is up. */
export interface NpmScript {
  readonly args: readonly string[];
  readonly url: RegExp;
}

/**
 * Runs an npm script in a process group of its own, as a terminal or a supervisor does, and
 * resolves when it is up. Whatever is left of the group is killed after the test.
 */
export async function runNpmScript(script: NpmScript, databaseUrl: string) {
  const npm = spawn('npm', script.args, {
    cwd: root,
    env: {
      ...programEnv,
      DATABASE_URL: databaseUrl,
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
      CALLBACK_HOST: '127.0.0.1',
      CALLBACK_PORT: '0',
      OPS_PORT: '0',
      LOG_LEVEL: 'debug',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const pid = npm.pid ?? 0;
  onTestFinished(() => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Every process of the group has ended.
    }
  });
  let text = '';
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  }
  const ended = once(npm, 'close');
  const url = await eventually('it is up', () => script.url.exec(text)?.[1]);
  return { pid, url, output: () => text, ended };
}
