import { randomBytes, randomUUID } from 'node:crypto';
import { describe, expect } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { openDirectTokenClient } from '../../src/direct-client/direct-client.ts';
import { settingsDefault } from '../../src/direct-client/parse-options.ts';
import { createKeyring, generateEncryptionKey } from '../../src/security/keyring.ts';
import { requestPayload, storeDefaultCredential } from '../support/builders.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { onServer, urlOf } from '../support/services/database.ts';
import { test as base } from '../support/harness/fixtures.ts';

const key = generateEncryptionKey('k1');
const encryptionKeys = `k1:${key.key.reveal()}`;
const name = 'till';
const callbackPublicUrl = 'https://pay.example';

/** A database with a credential that is sealed with the key. */
const test = base.extend('storedUrl', async ({ database, door, databaseUrl }) => {
  await storeDefaultCredential({ db: database.db, door, keyring: createKeyring([key]) });
  return databaseUrl;
});

describe('direct client', () => {
  test('names the wrong options, without their values', async () => {
    const fault = await faultOf(
      openDirectTokenClient({
        databaseUrl: 'mysql://CANARY',
        encryptionKeys: 'k1:CANARY',
        name: 'CANARY Name',
        callbackPublicUrl: 'CANARY',
      }),
    );
    expect(fault).toMatchObject({
      code: 'config_invalid',
      paths: ['databaseUrl', 'encryptionKeys', 'name', 'callbackPublicUrl'],
    });
    expect(JSON.stringify([fault.message, fault.stack])).not.toContain('CANARY');
  });

  test('refuses a callbackPublicUrl to which no callback route can be appended', async () => {
    for (const unusable of [
      'https://pay.example/?shop=1',
      'https://pay.example/callbacks/notify',
    ]) {
      const options = { databaseUrl: 'postgres://db', encryptionKeys: 'k1:', name: 'app' };
      const fault = await faultOf(
        openDirectTokenClient({ ...options, callbackPublicUrl: unusable }),
      );
      expect(fault).toMatchObject({
        code: 'config_invalid',
        paths: ['encryptionKeys', 'callbackPublicUrl'],
      });
    }
  });

  test('refuses to open with other encryption keys than the worker has', async ({ storedUrl }) => {
    const others = [
      ['k1', 'seal_broken'],
      ['k2', 'key_unknown'],
    ] as const;
    for (const [id, code] of others) {
      const foreign = `${id}:${generateEncryptionKey(id).key.reveal()}`;
      const opening = openDirectTokenClient({
        databaseUrl: storedUrl,
        encryptionKeys: foreign,
        name,
      });
      expect(await faultOf(opening)).toMatchObject({ code, isRetryable: false });
    }
    // During a key rotation the new key is first and the old key still opens.
    const next = `k2:${generateEncryptionKey('k2').key.reveal()}`;
    const client = await openDirectTokenClient({
      databaseUrl: storedUrl,
      encryptionKeys: `${next}, ${encryptionKeys}`,
      name,
    });
    await client.close();
  });

  test('distinguishes an unreachable database from one without schema, and hides the password', async ({
    databaseUrl,
  }) => {
    const away = 'postgres://shop:CANARY@127.0.0.1:1/none';
    const fault = await faultOf(openDirectTokenClient({ databaseUrl: away, encryptionKeys, name }));
    expect(fault).toMatchObject({ code: 'database_unavailable', isRetryable: true });
    expect(JSON.stringify([fault.message, fault.stack])).not.toContain('CANARY');
    const bare = urlOf(databaseUrl, 'postgres');
    expect(
      await faultOf(openDirectTokenClient({ databaseUrl: bare, encryptionKeys, name })),
    ).toMatchObject({ code: 'database_schema_outdated' });
  });

  test('needs a login with the role token_lifecycle_app and no other privilege', async ({
    storedUrl,
    database,
  }) => {
    const role = `tlw_test_login_${randomBytes(6).toString('hex')}`;
    const login = new URL(storedUrl);
    login.username = role;
    login.password = randomBytes(8).toString('hex');
    const open = async () =>
      await openDirectTokenClient({
        databaseUrl: login.href,
        encryptionKeys,
        name,
        callbackPublicUrl,
      });
    await onServer(storedUrl, async (owner) => {
      await owner.query(`create role ${role} login password '${login.password}'`);
      try {
        expect(await faultOf(open())).toMatchObject({
          code: 'config_invalid',
          paths: ['databaseUrl'],
          message: expect.stringContaining('grant token_lifecycle_app'),
        });
        await owner.query(`grant token_lifecycle_app to ${role}`);
        const client = await open();
        const { id } = await client.requestTokenization(requestPayload());
        expect(await client.getTimeline(id)).toHaveLength(1);
        expect(await faultOf(client.getAccessToken())).toMatchObject({
          code: 'credential_not_found',
        });
        await client.close();
        expect(await findAuditBreaks(database.db)).toEqual([]);
      } finally {
        await owner.query(`drop role ${role}`);
      }
    });
  });

  test('ends waits with the code closed and finishes other calls when it is closed', async ({
    storedUrl,
    database,
  }) => {
    const client = await openDirectTokenClient({
      databaseUrl: storedUrl,
      encryptionKeys,
      name,
      callbackPublicUrl,
    });
    const { id } = await client.requestTokenization(requestPayload());
    const waiting = faultOf(client.waitForRedirectUrl(id));
    const inFlight = requestPayload();
    const request = client.requestTokenization(inFlight);
    const startedAt = performance.now();
    await Promise.all([client.close(), request]);
    expect(await waiting).toMatchObject({ code: 'closed' });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(await faultOf(client.getTokenization(id))).toMatchObject({ code: 'closed' });
    await client.close();
    const kept = await database.db
      .selectFrom('tokenization')
      .select('merchant_reference_id')
      .execute();
    expect(kept).toContainEqual({ merchant_reference_id: inFlight.merchant.referenceId });
  });

  test('ends a wait for an unknown reference by its timeout or its signal', async ({
    storedUrl,
  }) => {
    const client = await openDirectTokenClient({ databaseUrl: storedUrl, encryptionKeys, name });
    const fault = await faultOf(
      client.waitForResult({ merchantReferenceId: randomUUID() }, { timeoutMs: 150 }),
    );
    expect(fault).toMatchObject({ code: 'tokenization_not_found', isRetryable: true });
    const signal = AbortSignal.timeout(120);
    await expect(
      client.waitForResult({ merchantReferenceId: randomUUID() }, { signal }),
    ).rejects.toSatisfy((error) => error === signal.reason);
    await client.close();
  });

  test("has the worker's defaults", () => {
    const { reconcileScheduleMs, refusedCallbackMaxAgeMs, accessToken } = loadConfig(
      {},
      { isKeyless: true },
    ).jobs;
    expect(settingsDefault.reconcileScheduleMs[0]).toBe(reconcileScheduleMs[0]);
    expect(settingsDefault.refusedCallbackMaxAgeMs).toBe(refusedCallbackMaxAgeMs);
    expect(settingsDefault.accessTokenTtlMs).toBe(accessToken.ttlMs);
  });
});
