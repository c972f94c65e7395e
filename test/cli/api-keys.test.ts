import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { generateEncryptionKey } from '../../src/security/keyring.ts';
import { startTestApi } from '../support/harness/api.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { runCli, spawnCli } from '../support/harness/run-cli.ts';

test('a key is added, listed, used and revoked from the command line while the API runs', async ({
  database,
  databaseUrl,
  door,
}) => {
  const api = await startTestApi({ db: database.db, door }, { API_KEYS: '' });
  const env = {
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
  };
  const keys = async (...args: readonly string[]) => await runCli(['api-keys', ...args], env);
  try {
    const args = ['api-keys', 'add', 'shop', '--scopes', 'read,operate'];
    const key = (await spawnCli(args, env)).output.trim();
    expect(key).toMatch(/^tlw_[A-Za-z0-9_-]{43}$/);
    const statusWith = async (path: string) => (await api.call('GET', path, { key })).status;
    expect(await statusWith('/v1/dead-letters')).toBe(200);
    expect((await api.call('POST', '/v1/callbacks/notify', { key, body: {} })).status).toBe(403);

    const listed = (await keys('list')).output;
    expect(listed).toMatch(/^shop {2}active {2}read\+operate {2}\S+\n$/);
    expect(listed).not.toContain(key.slice(4));

    expect((await keys('revoke', 'shop')).output).toContain('within 6 seconds');
    await eventually('it is refused', async () => (await statusWith('/v1/dead-letters')) === 401);
    expect((await keys('list')).output).toContain('shop  revoked');
    expect(await keys('add', 'x', '--scopes', 'all')).toEqual({
      code: 2,
      output: expect.stringContaining('--scopes: name any of enqueue, read, reveal, operate'),
    });
    expect(await findAuditBreaks(database.db)).toEqual([]);
  } finally {
    await api.close();
  }
});
