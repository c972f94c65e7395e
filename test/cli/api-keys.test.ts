import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { startTestApi } from '../support/harness/api.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

test('a key is added, listed, used and revoked from the command line while the API runs', async ({
  database,
  databaseUrl,
  door,
}) => {
  const api = await startTestApi({ db: database.db, door }, { API_KEYS: '' });
  const keys = async (...args: readonly string[]): Promise<string> => {
    const env = {
      DATABASE_URL: databaseUrl,
      ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    };
    const run = promisify(execFile)(process.execPath, [main, 'api-keys', ...args], { env });
    return (await run).stdout;
  };
  try {
    const key = (await keys('add', 'shop', '--scopes', 'read,operate')).trim();
    expect(key).toMatch(/^tlw_[A-Za-z0-9_-]{43}$/);
    const statusWith = async (path: string) => (await api.call('GET', path, { key })).status;
    expect(await statusWith('/v1/dead-letters')).toBe(200);
    expect((await api.call('POST', '/v1/callbacks/notify', { key, body: {} })).status).toBe(403);

    const listed = await keys('list');
    expect(listed).toMatch(/^shop {2}active {2}read\+operate {2}\S+\n$/);
    expect(listed).not.toContain(key.slice(4));

    expect(await keys('revoke', 'shop')).toContain('within 6 seconds');
    await Promise.all([
      eventually('it is refused', async () => (await statusWith('/v1/dead-letters')) === 401),
      expect(keys('list')).resolves.toContain('shop  revoked'),
      expect(keys('add', 'x', '--scopes', 'all')).rejects.toMatchObject({
        code: 2,
        stderr: expect.stringContaining('--scopes: name any of enqueue, read, reveal, operate'),
      }),
    ]);
    expect(await findAuditBreaks(database.db)).toEqual([]);
  } finally {
    await api.close();
  }
});
