import { describe, expect } from 'vitest';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { createTokenClient } from '../../src/client/client.ts';
import type { CredentialFamily } from '../../src/domain/credential.ts';
import { tokenPlace } from '../../src/access-token/row.ts';
import type { OperationDependencies } from '../../src/execution/dependencies.ts';
import { addCredential } from '../../src/credential/add.ts';
import { rotateCredential } from '../../src/credential/rotate.ts';
import { makeKey } from '../support/harness/api.ts';
import { acceptTokenization } from '../../src/tokenization/request/accept.ts';
import { requestPayload } from '../support/builders.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/harness/fixtures.ts';
import { backends, startTestWorker, type TestWorker } from '../support/harness/worker.ts';

describe.for(backends)('secrets with queues on %s', (backend) => {
  test('appear in no queue, table, log, metric or board page', async ({ databaseUrl, skip }) => {
    const till = makeKey('till');
    // With this lifetime a reported token is renewed after half a second.
    const worker = await startTestWorker({
      databaseUrl,
      backend,
      env: {
        API_KEYS: till.entry,
        ACCESS_TOKEN_TTL_MS: '30000',
        ACCESS_TOKEN_SKEW_MS: '1000',
        OAUTH_CALLS_PER_SECOND_MAX: '1000',
      },
      sandbox: { accessTokenTtlMs: 30_000 },
    });
    if (worker === undefined) return skip('no Redis: this suite did not run on Redis');
    try {
      await runLifecycles(worker);
      const tokens = await runRenewals(worker, till.key);
      const canaries = [
        'canary',
        'Lovelace',
        ...tokens,
        ...worker.sandbox.state().creations.flatMap(({ quickpayId }) => quickpayId ?? []),
      ];
      expect(canaries.length).toBeGreaterThan(2 + tokens.length);
      const places = {
        database: await dumpDatabase(databaseUrl),
        redis: backend === 'redis' ? await dumpRedis(worker.prefix) : '',
        logs: worker.logs.join(''),
        metrics: await (await fetch(`${worker.app.urls?.private}/metrics`)).text(),
        board: await readBoard(worker),
      };
      expect(places.logs).not.toBe('');
      expect(places.board).toContain('tokenizationId');
      for (const [place, content] of Object.entries(places)) {
        for (const canary of canaries) {
          expect(content.includes(canary), `${canary} in ${place}`).toBe(false);
        }
      }
    } finally {
      await worker.close();
    }
  });
});

async function runLifecycles(worker: TestWorker): Promise<void> {
  const base = worker.app.urls?.public ?? '';
  const planted = (remark: string) => {
    const payload = requestPayload({ remark });
    return {
      ...payload,
      order: {
        ...payload.order,
        redirectUrl: `${base}/callbacks/redirect`,
        notifyUrl: `${base}/callbacks/notify`,
      },
      billing: { ...payload.billing, email: 'canary@example.com', phone: 'canary-phone' },
      customer: { id: 'canary-customer' },
    };
  };
  const audit = { actor: { type: 'backend', id: 'test' } } as const;
  const accepted = await Promise.all(
    ['sandbox:direct', 'sandbox:approve+duplicated', 'sandbox:decline'].map(
      async (remark) => await acceptTokenization(worker.app.operations, planted(remark), { audit }),
    ),
  );
  const queue = worker.app.backend.queue('tokenization');
  await queue.add('tokenization.request', planted('sandbox:direct'), { jobId: 'raw-good' });
  await queue.add(
    'tokenization.request',
    { ...planted(''), canary: 'canary' },
    { jobId: 'raw-bad' },
  );
  await queue.add('unknown.job', { canary: 'canary' }, { jobId: 'raw-unknown' });
  await fetch(`${base}/callbacks/notify`, { method: 'POST', body: 'canary=canary&<canary' });
  await eventually('all have ended', async () => {
    const rows = await Promise.all(
      accepted.map(
        async ({ tokenization }) =>
          await findTokenization(worker.app.operations.db, tokenization.id),
      ),
    );
    return rows.every((row) => row?.state === 'active' || row?.state === 'failed');
  });
  await eventually('raw jobs have ended', async () => {
    const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
    return (counts['failed'] ?? 0) >= 2 && (counts['waiting'] ?? 0) + (counts['active'] ?? 0) === 0;
  });
  await worker.sandbox.settled();
}

/**
 * Runs credentials of all families, and access tokens through an issue, a reported refresh,
 * failures, a refusal, reads and reveals. Returns every access and refresh token.
 */
async function runRenewals(worker: TestWorker, apiKey: string): Promise<readonly string[]> {
  const { app, sandbox } = worker;
  const actor = { type: 'operator', id: 'test' } as const;
  const client = createTokenClient({ url: app.urls?.private ?? '', apiKey });
  await client.getAccessToken();
  const tokens = [...(await openTokens(app.operations))];

  sandbox.setFaults({ errorRate5xx: 1 });
  await client.reportInvalidAccessToken('default', 1);
  await eventually('an unknown outcome', async () => await hasHappened(app, 'refresh_unknown'));
  sandbox.setFaults({ errorRate5xx: 0, refreshRejectRate: 1 });
  await eventually('a new token', async () => await hasHappened(app, 'refresh_rejected'));
  await eventually('generation 2', async () => {
    const { generation } = await client.getAccessToken();
    return generation === 2;
  });
  tokens.push(...(await openTokens(app.operations)));

  const add = async (name: string, family: CredentialFamily, content: unknown) =>
    await addCredential(app.operations, { name, family }, 'sandbox', content, actor);
  await add('refused', 'opcard', { appKey: 'canary-app-key', appSecret: 'canary-app-secret' });
  await eventually('a refused credential', async () => await hasHappened(app, 'suspended'));
  await add('till', 'accept_payments', {
    account: '654321',
    terminal: '87654321',
    secureCode: 'canary-code',
    publicKey: 'canary-public-key',
  });
  const till = { name: 'till', family: 'accept_payments' } as const;
  await rotateCredential(app.operations, till, { secureCode: 'canary-code-2' }, actor);
  await add('funds', 'opccount', {
    number: 'VA995149',
    vaCode: 'canary-va-code',
    privateKey: 'canary-private-key',
  });
  expect(await client.revealOpccount('funds')).toMatchObject({ vaCode: 'canary-va-code' });
  await app.backend
    .queue('access-token')
    .add('access-token.refresh', { v: 1, credential: 'default', accessToken: 'canary' });
  await eventually('a dead letter', async () => {
    const { failed } = await app.backend.queue('access-token').getJobCounts('failed');
    return failed === 1;
  });
  // Without four different tokens the search for them would prove nothing.
  expect(new Set(tokens).size).toBe(4);
  return tokens;
}

async function hasHappened({ database }: TestWorker['app'], event: string): Promise<boolean> {
  const rows = await database.db
    .selectFrom('audit_event')
    .select('id')
    .where('event', '=', `access_token.${event}`)
    .execute();
  return rows.length > 0;
}

/** The access and refresh tokens of all credentials. */
async function openTokens({ db, keyring }: OperationDependencies): Promise<readonly string[]> {
  const rows = await db.selectFrom('access_token').selectAll().execute();
  return rows.flatMap((row) =>
    (['access_token_sealed', 'refresh_token_sealed'] as const).flatMap((column) => {
      const sealed = row[column];
      return sealed === null ? [] : [keyring.open(tokenPlace(column, row.id), sealed).reveal()];
    }),
  );
}

async function readBoard(worker: TestWorker): Promise<string> {
  const { user, password } = worker.console;
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const pages: string[] = [];
  for (const queue of [
    'tokenization',
    'callback-verification',
    'notify',
    'access-token',
    'reconciliation',
  ]) {
    const response = await fetch(
      `${worker.app.urls?.private}/queues/api/queues?activeQueue=${queue}&page=1&jobsPerPage=100`,
      { headers: { authorization } },
    );
    expect(response.status).toBe(200);
    pages.push(await response.text());
  }
  return pages.join('\n');
}
