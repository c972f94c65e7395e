import { expect } from 'vitest';
import { startApp } from '../src/app.ts';
import { createTokenClient } from '../src/client/client.ts';
import { loadConfig } from '../src/config/config.ts';
import { findAuditBreaks } from '../src/db/audit.ts';
import { createLogger } from '../src/observability/logger.ts';
import { migrateQueueSchema } from '../src/queues/postgres-schema.ts';
import { sandboxDefaults, startSandbox } from '../src/sandbox/sandbox.ts';
import { generateEncryptionKey } from '../src/security/keyring.ts';
import { makeKey } from './support/harness/api.ts';
import { requestPayload } from './support/builders.ts';
import { test } from './support/harness/fixtures.ts';

test('a process with role http accepts requests, and another process without it runs them', async ({
  database,
  databaseUrl,
}) => {
  await migrateQueueSchema(databaseUrl);
  const sandbox = await startSandbox();
  const { key, entry } = makeKey('shop');
  const config = loadConfig({
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    API_KEYS: entry,
    CALLBACK_HOST: '127.0.0.1',
    CALLBACK_PORT: '0',
    OPS_PORT: '0',
    CALLBACK_PUBLIC_URL: 'http://127.0.0.1:9',
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_ACCOUNT: sandboxDefaults.account,
    OCEANPAYMENT_TERMINAL: sandboxDefaults.terminal,
    OCEANPAYMENT_SECURE_CODE: sandboxDefaults.secureCode,
  });
  const start = async (...roles: ('http' | 'worker' | 'relay' | 'scheduler')[]) =>
    await startApp({
      config,
      databaseUrl,
      roles: new Set(roles),
      logger: createLogger({ level: 'silent' }),
    });
  const http = await start('http');
  try {
    const client = createTokenClient({ url: http.urls?.private ?? '', apiKey: key });
    const { id, state } = await client.requestTokenization(
      requestPayload({ remark: 'sandbox:direct' }),
    );
    expect(state).toBe('requested');
    const waiting = client.waitForResult(id);
    const worker = await start('worker', 'relay', 'scheduler');
    expect(worker.urls).toBeUndefined();
    expect((await waiting).state).toBe('active');
    await worker.stop();
    expect(await findAuditBreaks(database.db)).toEqual([]);
  } finally {
    await http.stop();
    await sandbox.close();
  }
});
