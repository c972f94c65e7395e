import { describe, expect } from 'vitest';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { acceptTokenization } from '../../src/jobs/accept-tokenization.ts';
import { requestPayload } from '../support/builders.ts';
import { dumpDatabase, dumpRedis } from '../support/dumps.ts';
import { eventually } from '../support/eventually.ts';
import { test } from '../support/fixtures.ts';
import { backends, startTestWorker, type TestWorker } from '../support/worker.ts';

describe.for(backends)('planted canaries with queues on %s', (backend) => {
  test('are found nowhere: not in queues, tables, logs, metrics or on the board', async ({
    databaseUrl,
    skip,
  }) => {
    const worker = await startTestWorker({ databaseUrl, backend });
    if (worker === undefined) return skip('no Redis: this suite did not run on Redis');
    try {
      await runLifecycles(worker);
      const canaries = [
        'canary',
        'Lovelace',
        ...worker.sandbox.state().creations.flatMap(({ quickpayId }) => quickpayId ?? []),
      ];
      expect(canaries.length).toBeGreaterThan(2);
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
  await queue.add('unheard-of.job', { canary: 'canary' }, { jobId: 'raw-unknown' });
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
