import { sql } from 'kysely';
import { describe, expect, onTestFinished } from 'vitest';
import { createTokenClient } from '../../src/client/client.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { tokenPlace } from '../../src/access-token/row.ts';
import { addCredential } from '../../src/credential/add.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { testActor } from '../support/builders.ts';
import { callerOf, makeKey, startTestApi } from '../support/harness/api.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { probe } from '../support/harness/token-harness.ts';
import { startTestWorker } from '../support/harness/worker.ts';

describe('access tokens over HTTP', () => {
  test('are returned immediately, recorded under the name of the key, and renewed after a report', async ({
    databaseUrl,
  }) => {
    const { key, entry } = makeKey('till');
    // A token may be renewed on request when it is a sixtieth of its life old.
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'postgres',
      env: { API_KEYS: entry, ACCESS_TOKEN_TTL_MS: '30000', ACCESS_TOKEN_SKEW_MS: '1000' },
      sandbox: { accessTokenTtlMs: 30_000 },
    });
    if (worker === undefined) throw new Error('the worker did not start');
    try {
      const url = worker.app.urls?.private ?? '';
      const client = createTokenClient({ url, apiKey: key });
      // This read waits for the first token: the credential was stored a moment ago.
      const first = await client.getAccessToken();
      expect(await probe(worker.sandbox, first.accessToken)).toBe(true);
      expect(first.secondsLeft).toBeGreaterThan(15);
      await client.reportInvalidAccessToken('default', first.generation);
      const second = await eventually('a new generation', async () => {
        const token = await client.getAccessToken();
        return token.generation > first.generation && token;
      });
      expect(second.accessToken).not.toBe(first.accessToken);
      await expect(client.getAccessToken('none-of-this-name')).rejects.toMatchObject({
        code: 'credential_not_found',
      });
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toContain('token_worker_access_token_reads_total{outcome="not_found"} 1');
      expect(metrics).toMatch(/^token_worker_access_token_least_life_seconds [1-9]/m);
      const { db } = worker.app.database;
      const generations = await eventually('both generations are recorded', async () => {
        const rows = await db
          .selectFrom('access_token_read')
          .select('generation')
          .distinct()
          .where('actor_type', '=', 'backend')
          .where('actor_id', '=', 'till')
          .where('credential', '=', 'default')
          .orderBy('generation')
          .execute();
        return rows.length >= 2 && rows.map(({ generation }) => generation);
      });
      expect(generations).toEqual([first.generation, second.generation]);
      const reports = await db
        .selectFrom('audit_event')
        .select(['actor_type', 'actor_id'])
        .where('event', '=', 'access_token.reported_invalid')
        .execute();
      expect(reports).toEqual([{ actor_type: 'backend', actor_id: 'till' }]);
      expect(JSON.stringify(worker.logs)).not.toContain(first.accessToken);
      expect(await findAuditBreaks(worker.app.database.db)).toEqual([]);
    } finally {
      await worker.close();
    }
  });

  test('need the scope reveal, as do OPCCOUNT credentials', async ({ databaseUrl }) => {
    const all = makeKey('all');
    const reader = makeKey('reader');
    const worker = await startTestWorker({
      databaseUrl,
      backend: 'postgres',
      env: { API_KEYS: `${all.entry},${reader.entry}:read` },
    });
    if (worker === undefined) throw new Error('the worker did not start');
    try {
      const url = worker.app.urls?.private ?? '';
      const refused = await callerOf(url, reader.key)('GET', '/v1/access-tokens/default');
      expect(refused).toMatchObject({ status: 403, body: { code: 'scope_missing' } });
      const unknown = await callerOf(url, all.key)('GET', '/v1/access-tokens/canary-name');
      expect(unknown).toMatchObject({ status: 422, body: { code: 'credential_not_found' } });
      expect(JSON.stringify(unknown.body)).not.toContain('canary-name');

      // OPCCOUNT has no tokens: a reveal gives the credential itself, and none of another family.
      const opccount = { number: 'VA1', vaCode: '9435762187450928365', privateKey: 'canary-key' };
      await addCredential(
        worker.app.operations,
        { name: 'funds', family: 'opccount' },
        'production',
        opccount,
        testActor,
      );
      const client = createTokenClient({ url, apiKey: all.key });
      const path = (name: string): string => `/v1/opccount-credentials/${name}/reveal`;
      expect(await client.revealOpccount('funds')).toEqual({
        environment: 'production',
        ...opccount,
      });
      expect(await callerOf(url, reader.key)('POST', path('funds'))).toMatchObject({ status: 403 });
      expect(await callerOf(url, all.key)('POST', path('default'))).toMatchObject({
        status: 422,
        body: { code: 'credential_not_found' },
      });
      const rows = await worker.app.database.db
        .selectFrom('audit_event')
        .select(['actor_id', 'version'])
        .where('event', '=', 'credential.revealed')
        .execute();
      expect(rows).toEqual([{ actor_id: 'all', version: 2 }]);
      expect(await findAuditBreaks(worker.app.database.db)).toEqual([]);
      expect(worker.logs.join('')).not.toContain('canary-key');
    } finally {
      await worker.close();
    }
  });

  test('are cached by no proxy, and by the worker until a report of their generation', async ({
    database: { db },
    door,
  }) => {
    const api = await startTestApi({ db, door }, {}, { isSubscribed: true });
    onTestFinished(api.close);
    const { operations, call } = api;
    const secrets = { appKey: 'app-1', appSecret: 'secret-1' };
    await storeCredential(
      operations,
      { name: 'cards', environment: 'sandbox', family: 'opcard', secrets },
      testActor,
    );
    const { id, index } = await db
      .selectFrom('access_token as t')
      .innerJoin('credential as c', 'c.id', 't.credential_id')
      .select(['t.id', 'c.app_key_index as index'])
      .executeTakeFirstOrThrow();
    const sealed = operations.keyring.seal(tokenPlace('access_token_sealed', id), 'token');
    const issue = async (generation: number): Promise<void> => {
      await sql`update access_token set access_token_sealed = ${sealed}, generation = ${generation}, app_key_index = ${index},
        issued_at = now(), expires_at = now() + interval '1 hour' where id = ${id}`.execute(db);
    };
    const read = async (): Promise<unknown> => {
      const { status, headers, body } = await call('GET', '/v1/access-tokens/cards');
      return [status, headers.get('cache-control'), body.generation];
    };
    await issue(1);
    expect(await read()).toEqual([200, 'no-store', 1]);
    await issue(2);
    expect(await read()).toEqual([200, 'no-store', 1]);
    const report = await call('POST', '/v1/access-tokens/cards/invalid', {
      body: { generation: 1 },
    });
    expect(report).toMatchObject({ status: 202, body: { result: 'ignored' } });
    expect(await read()).toEqual([200, 'no-store', 2]);
  });
});
