import { describe, expect } from 'vitest';
import { createTokenClient } from '../../src/client/client.ts';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { addCredential } from '../../src/jobs/rotate-credential.ts';
import { testActor } from '../support/builders.ts';
import { callerOf, makeKey } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/fixtures.ts';
import { probe } from '../support/token-desk.ts';
import { startTestWorker } from '../support/worker.ts';

describe('access tokens over HTTP', () => {
  test('are handed out at once, audited under the key, and renewed when one was refused', async ({
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
      const client = createTokenClient({ url: worker.app.urls?.private ?? '', apiKey: key });
      // The first one is waited for: the credential was stored a moment ago.
      const first = await client.getAccessToken();
      expect(await probe(worker.sandbox, first.accessToken)).toBe(true);
      expect(first.secondsLeft).toBeGreaterThan(15);
      await client.reportInvalidAccessToken('default', first.generation);
      const second = await eventually('a new generation', async () => {
        const token = await client.getAccessToken();
        return token.generation > first.generation && token;
      });
      expect(second.accessToken).not.toBe(first.accessToken);
      const rows = await worker.app.database.db
        .selectFrom('audit_event')
        .select(['actor_type', 'actor_id', 'event'])
        .where('event', 'in', ['access_token.handed_out', 'access_token.reported_invalid'])
        .execute();
      expect(rows).toContainEqual({
        actor_type: 'backend',
        actor_id: 'till',
        event: 'access_token.handed_out',
      });
      expect(rows.filter(({ event }) => event === 'access_token.reported_invalid')).toHaveLength(1);
      expect(JSON.stringify(worker.logs)).not.toContain(first.accessToken);
      expect(await findAuditBreaks(worker.app.database.db)).toEqual([]);
    } finally {
      await worker.close();
    }
  });

  test('and OPCCOUNT credentials are opened by the scope reveal only, each with a trace, and an unknown one is named as such', async ({
    databaseUrl,
  }) => {
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

      // OPCCOUNT has no tokens: what is handed out is the credential itself, and no other family's.
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
});
