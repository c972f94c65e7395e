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

test('a request in a prepared transaction is done after COMMIT PREPARED and not before; one that notifies can not be prepared', async ({
  skip,
}) => {
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
    // PostgreSQL says so itself, and has rolled back.
    await expect(prepare(true)).rejects.toMatchObject({
      code: '0A000',
      message: expect.stringMatching(/NOTIFY/),
    });

    const [held, given] = [await prepare(false), await prepare(false)];
    // A transaction that is only prepared holds up nothing: later work goes by.
    const later = withUrls(requestPayload({ remark: 'sandbox:direct' }));
    const other = await enqueueIn(backend, 'tokenization.request', later);
    expect(
      (await client.waitForResult({ merchantReferenceId: later.merchant.referenceId })).id,
    ).toBe(other);
    expect(await faultOf(client.getTokenization(held.id))).toMatchObject({
      code: 'tokenization_not_found',
    });

    // Two-phase commits are ended by whoever comes, on any connection, long after the first is gone.
    await backend.end();
    const coordinator = new pg.Client({ connectionString: database.url });
    await coordinator.connect();
    await coordinator.query(`commit prepared '${held.id}'`);
    await coordinator.query(`rollback prepared '${given.id}'`);
    await coordinator.end();
    expect(await client.waitForResult(held)).toMatchObject({ id: held.id, state: 'active' });
    expect(
      await client.findTokenization({ merchantReferenceId: given.merchantReferenceId }),
    ).toBeUndefined();
    expect(await findAuditBreaks(worker.app.operations.db)).toEqual([]);
  } finally {
    await backend.end();
    await client.close();
    await worker.close();
    await database.drop();
  }
});
