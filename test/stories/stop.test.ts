import { describe, expect } from 'vitest';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { eventually } from '../support/eventually.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';
import { openShop } from '../support/harness/shop.ts';
import { backends } from '../support/harness/worker.ts';
import { test } from '../support/harness/worker-test.ts';

describe.for(backends)('a stop, with queues on %s', (backend) => {
  test('lets creations that are on their way finish, and keeps their URLs', async ({
    startWorker,
    databaseUrl,
  }) => {
    const faults = { latencyMs: 1_500, faultEndpoints: ['create' as const] };
    const worker = await startWorker({ backend, sandbox: { faults } });
    const shop = openShop(worker);
    const accepted = await Promise.all(
      Array.from({ length: 3 }, async () => await shop.accept({ remark: redirectWithoutPush })),
    );
    await eventually('the creations are on their way', async () => {
      const rows = await worker.app.operations.db
        .selectFrom('tokenization')
        .select('state')
        .execute();
      return rows.every(({ state }) => state === 'submitting');
    });
    expect(await worker.app.stop()).toEqual({ isClean: true, late: [] });
    const rows = await withClient(databaseUrl, async (client) => {
      const { rows: found } = await client.query<{ state: string; has_url: boolean }>(
        'select state, redirect_url is not null as has_url from token_lifecycle.tokenization',
      );
      return found;
    });
    expect(rows).toEqual(accepted.map(() => ({ state: 'awaiting_customer', has_url: true })));
  });

  test('aborts calls that outlive its deadline, and stores their outcome as unknown', async ({
    startWorker,
  }) => {
    const worker = await startWorker({
      backend,
      env: { SHUTDOWN_DEADLINE_MS: '3000', GATEWAY_TIMEOUT_MS: '15000' },
      sandbox: { faults: { hangAfterEffectRate: 1, faultEndpoints: ['create'] } },
    });
    const { tokenization } = await openShop(worker).accept({ remark: redirectWithoutPush });
    await eventually('the creation is on its way', () => {
      return worker.sandbox.state().creations.length === 1;
    });
    const other = await worker.startAnother();
    expect(await worker.app.stop()).toEqual({ isClean: true, late: [] });
    const row = await findTokenization(other.operations.db, tokenization.id);
    expect(row).toMatchObject({ attempt: 1, lease_until: null });
    expect(row?.state).not.toBe('submitting');
  });
});
