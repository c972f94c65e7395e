import pg from 'pg';
import { expect, test } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { openDirectTokenClient } from '../../src/direct-client/direct-client.ts';
import { enqueueIn } from '../../src/direct-client/enqueue.ts';
import { requestPayload } from '../support/builders.ts';
import { faultOf } from '../support/harness/client-fault.ts';
import { openShop } from '../support/harness/shop.ts';
import { findTwoPhaseDatabase } from '../support/faults/two-phase.ts';
import { startTestWorker } from '../support/harness/worker.ts';

test('a request in a prepared transaction runs only after COMMIT PREPARED', async ({ skip }) => {
  const database = await findTwoPhaseDatabase();
  if (typeof database === 'string') return skip(database);
  const worker = await startTestWorker({ databaseUrl: database.url, backend: 'postgres' });
  if (worker === undefined) throw new Error('the worker did not start');
  const { withUrls } = openShop(worker);
  const client = await openDirectTokenClient({
    databaseUrl: database.url,
    encryptionKeys: worker.encryptionKeys,
    name: 'shop',
  });
  const backend = new pg.Client({ connectionString: database.url });
  await backend.connect();
  const prepare = async (isNotifying: boolean) => {
    const request = withUrls(requestPayload({ remark: 'sandbox:direct' }));
    await backend.query('begin');
    const id = await enqueueIn(backend, 'tokenization.request', request, { isNotifying });
    await backend.query(`prepare transaction '${id}'`);
    return { id, merchantReferenceId: request.merchant.referenceId };
  };
  try {
    // PostgreSQL refuses to prepare a transaction that notifies, and rolls it back.
    await expect(prepare(true)).rejects.toMatchObject({
      code: '0A000',
      message: expect.stringMatching(/NOTIFY/),
    });

    const [committed, rolledBack] = [await prepare(false), await prepare(false)];
    // A prepared transaction does not block later jobs.
    const later = withUrls(requestPayload({ remark: 'sandbox:direct' }));
    const other = await enqueueIn(backend, 'tokenization.request', later);
    expect(
      (await client.waitForResult({ merchantReferenceId: later.merchant.referenceId })).id,
    ).toBe(other);
    expect(await faultOf(client.getTokenization(committed.id))).toMatchObject({
      code: 'tokenization_not_found',
    });

    // A coordinator may end a prepared transaction later, on another connection.
    await backend.end();
    const coordinator = new pg.Client({ connectionString: database.url });
    await coordinator.connect();
    await coordinator.query(`commit prepared '${committed.id}'`);
    await coordinator.query(`rollback prepared '${rolledBack.id}'`);
    await coordinator.end();
    expect(await client.waitForResult(committed)).toMatchObject({
      id: committed.id,
      state: 'active',
    });
    expect(
      await client.findTokenization({ merchantReferenceId: rolledBack.merchantReferenceId }),
    ).toBeUndefined();
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  } finally {
    await backend.end();
    await client.close();
    await worker.close();
    await database.drop();
  }
});
