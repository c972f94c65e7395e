import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { expect, onTestFinished, vi } from 'vitest';
import { addCredential } from '../../src/credential/add.ts';
import { storeCredential } from '../../src/credential/store.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { listDeadLetters } from '../../src/db/dead-letters.ts';
import { listDeliveries } from '../../src/db/deliveries.ts';
import type { TokenizationRow } from '../../src/db/rows.ts';
import { sealedPlace } from '../../src/db/sealed-place.ts';
import { apiRoutes } from '../../src/http/routes/v1/api-routes.ts';
import { jobs } from '../../src/jobs/registry.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { growDatabase } from '../support/grown-database.ts';
import { type Answer, type Call, callerOf, makeKey } from '../support/harness/api.ts';
import { openShop } from '../support/harness/shop.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { test } from '../support/harness/worker-test.ts';
import { type RecordedPlan, recordPlans } from '../support/recorded-plans.ts';
import { freePort } from '../support/services/services.ts';

/** Finished rows of each kind: far more than a step of a plan may read. */
const grownRows = 4_000;
/** The most rows that a step may take from a table: a batch of retention has 1,000. */
const rowsReadMax = 1_100;
/**
 * The most pages that a step may read, beside a few for each row. A search by the second column of
 * an index takes one row, but reads the whole index.
 */
const pagesMax = 30;
const pagesPerRowMax = 6;

/** The id of the n-th row of a kind that `growDatabase` adds. */
function grownId(kind: string, n: number): string {
  const hex = createHash('md5').update(`${kind}-${n}`).digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, '$1-$2-4$3-8$4-$5');
}

test('no statement of a worker, its API or its commands reads more rows because finished ones are stored', async ({
  startWorker,
  receiver,
  databaseUrl,
}) => {
  const plans = await recordPlans(databaseUrl);
  const { key, entry } = makeKey('shop');
  const port = await freePort();
  const env = {
    API_KEYS: entry,
    CALLBACK_PORT: String(port),
    CALLBACK_PUBLIC_URL: `http://127.0.0.1:${port}`,
    MERCHANT_WEBHOOK_URL: receiver.url,
    MERCHANT_WEBHOOK_SECRETS: `whsec_${randomBytes(32).toString('base64')}`,
    MERCHANT_WEBHOOK_ALLOW_PRIVATE: 'true',
    SCAN_INTERVAL_MS: '1000',
    RECONCILE_SCHEDULE_MS: '1000,2000,60000',
  };
  const worker = await startWorker({ backend: 'redis', env });
  const storeFormer = async (terminal: string): Promise<unknown> =>
    await storeCredential(
      worker.app.operations,
      {
        name: 'former',
        environment: 'sandbox',
        family: 'accept_payments',
        account: '100100',
        terminal,
        secrets: { secureCode: 'code' },
      },
      testActor,
    );
  await storeFormer('10000001');
  await growDatabase(databaseUrl, grownRows);
  plans.length = 0;

  const call = callerOf(worker.app.urls?.private ?? '', key);
  await storeFormer('10000002');
  const active = await liveThrough(worker, databaseUrl);
  await callRoutes(call, worker, active);
  await runCommands(worker, { databaseUrl, env, active });
  await runJobs(worker, databaseUrl, active);
  const metrics = await (await fetch(`${worker.app.urls?.private}/metrics`)).text();
  for (const { name } of jobs) expect(metrics).toContain(`job="${name}"`);
  expect(metrics).toContain('token_worker_scrape_errors_total 0');

  expect(plans.length).toBeGreaterThan(500);
  expect([...new Set(plans.flatMap(faultsOf))]).toEqual([]);
});

/** The steps that read too much, each with the beginning of its statement. */
function faultsOf({ statement, reads }: RecordedPlan): readonly string[] {
  return reads
    .filter(
      ({ rows, loops, pages }) =>
        rows > rowsReadMax || pages > pagesMax + pagesPerRowMax * (rows + loops),
    )
    .map(
      ({ step, rows, pages }) =>
        `${step}: ${rows} rows, ${pages} pages: ${statement.slice(0, 300)}`,
    );
}

/** Messages that name a grown tokenization, an abandoned reference, or nothing that is stored. */
const messages: readonly Readonly<Record<string, string>>[] = [
  { merchant_reference_id: 'grown-3' },
  { merchant_reference_id: 'grown-100-lost' },
  { merchant_reference_id: 'again-200' },
  { merchant_reference_id: 'never-sent' },
  { order_reference_id: 'op-5' },
  { order_reference_id: 'op-unknown' },
  { merchant_reference_id: 'grown-3', quickpay_status: 'unheard of' },
];

/** A request from SQL, with a page, a redirect and a push, and messages about other requests. */
async function liveThrough(worker: TestWorker, databaseUrl: string): Promise<TokenizationRow> {
  const shop = openShop(worker);
  const { db, keyring } = worker.app.operations;
  const payload = {
    ...requestPayload({ remark: 'sandbox:redirect' }),
    returnUrl: 'https://shop.example/x',
  };
  const reference = payload.merchant.referenceId;
  await withClient(databaseUrl, async (client) => {
    await client.query("select token_lifecycle.enqueue('tokenization.request', $1)", [payload]);
  });
  const waiting = await shop.until(reference, 'awaiting_customer');
  const place = sealedPlace('tokenization', 'request_sealed', waiting.id);
  const { redirectUrl } = JSON.parse(keyring.open(place, waiting.request_sealed).reveal()).order;
  const { fields } = await shop.decide(waiting, 'approve');
  await shop.followRedirect({ redirectUrl, fields });
  await fetch(redirectUrl, { method: 'POST', body: 'unreadable', redirect: 'manual' });
  for (const message of messages) {
    await shop.forge('redirect', { quickpay_status: '1', ...message });
    await shop.forge('notify', { quickpay_status: '0', ...message });
  }
  for (const channel of ['redirect', 'notify']) {
    const url = `${worker.app.urls?.public}/callbacks/${channel}`;
    for (const body of ['{"unreadable', `{"unreadable grown-7 ${worker.account.terminal}`]) {
      await fetch(url, { method: 'POST', body, redirect: 'manual' });
    }
  }
  const active = await shop.until(reference, 'active');
  await eventually('events are delivered', async () => {
    const delivered = await listDeliveries(db, 'delivered', 200);
    return delivered.filter((row) => row.tokenization_id === active.id).length > 1;
  });
  return active;
}

/** Calls each route of the HTTP API. */
async function callRoutes(call: Call, worker: TestWorker, { id }: TokenizationRow): Promise<void> {
  const { app, account } = worker;
  await addCredential(
    app.operations,
    { name: 'funds', family: 'opccount' },
    'sandbox',
    { number: 'VA1', vaCode: '1', privateKey: 'key' },
    testActor,
  );
  const payload = requestPayload({ remark: 'sandbox:redirect+dropped' });
  const query = async (filter: Readonly<Record<string, string>>): Promise<Answer> =>
    await call('GET', `/v1/tokenizations?${new URLSearchParams(filter).toString()}`);
  const body = `account=${account.account}&terminal=${account.terminal}&quickpay_status=1&merchant_reference_id=`;
  const created = await call('POST', '/v1/tokenizations', { body: payload });
  const open = await openShop(worker).until(payload.merchant.referenceId, 'awaiting_customer');
  await app.backend.queue('notify').add('notify.handle', { v: 1, unheardOf: true });
  const [letter] = await eventually('a dead letter', async () => {
    const letters = await listDeadLetters(app.operations.db, 1);
    return letters.length > 0 && letters;
  });
  const token = await call('GET', '/v1/access-tokens/default');
  const cursor = grownId('tokenization', grownRows - 19);
  const calls: Readonly<Record<string, () => Promise<readonly Answer[]>>> = {
    createTokenization: async () => [created],
    findTokenizations: async () => [
      await query({ merchantReferenceId: 'grown-9' }),
      await query({ orderReferenceId: 'op-9' }),
      await query({ quickpayId: '1' }),
      await query({ customerId: 'cust-77' }),
      await query({ customerId: 'nobody', state: 'active' }),
      await query({ state: 'active', limit: '200' }),
      await query({ state: 'active', limit: '200', cursor }),
      await query({ state: 'submit_unknown', cursor }),
    ],
    getTokenization: async () => [await call('GET', `/v1/tokenizations/${open.id}?wait=1s`)],
    getTimeline: async () => [
      await call('GET', `/v1/tokenizations/${id}/timeline`),
      await call(
        'GET',
        `/v1/tokenizations/${grownId('tokenization', 9)}/timeline?cursor=50&limit=1`,
      ),
    ],
    revealToken: async () => [await call('POST', `/v1/tokenizations/${id}/reveal`)],
    confirmTokenization: async () => [await call('POST', `/v1/tokenizations/${open.id}/confirm`)],
    forwardRedirect: async () => [
      await call('POST', '/v1/callbacks/redirect', { body: { body: `${body}grown-11` } }),
    ],
    forwardNotify: async () => [
      await call('POST', '/v1/callbacks/notify', { body: { body: `${body}grown-13` } }),
    ],
    getAccessToken: async () => [token],
    reportInvalidAccessToken: async () => [
      await call('POST', '/v1/access-tokens/default/invalid', {
        body: { generation: token.body.generation },
      }),
    ],
    revealOpccount: async () => [await call('POST', '/v1/opccount-credentials/funds/reveal')],
    listDeadLetters: async () => [
      await call('GET', '/v1/dead-letters'),
      await call('GET', `/v1/dead-letters?cursor=${letter?.id}`),
    ],
    redriveDeadLetter: async () => [await call('POST', `/v1/dead-letters/${letter?.id}/redrive`)],
    disableToken: async () => [await call('POST', `/v1/tokenizations/${id}/disable`)],
  };
  expect(Object.keys(calls).toSorted()).toEqual(
    apiRoutes.map(({ operationId }) => operationId).toSorted(),
  );
  for (const [operation, send] of Object.entries(calls)) {
    for (const { status, text } of await send()) {
      expect(status, `${operation}: ${text}`).toBeLessThan(300);
    }
  }
  const health = await fetch(`${app.urls?.private}/health/ready`);
  expect(health.status).toBe(200);
}

/** Commands that use no database, or that run before or beside a worker. */
const commandsApart = [
  'start',
  'demo',
  'sandbox',
  'migrate',
  'keys generate',
  'keys password',
  // Reads the whole trail: that is its purpose.
  'audit check',
];

/** Runs each command of the command line in this process, whose statements are recorded. */
async function runCommands(
  { encryptionKeys, sandbox, app }: TestWorker,
  {
    databaseUrl,
    env,
    active,
  }: { databaseUrl: string; env: Readonly<Record<string, string>>; active: TokenizationRow },
): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), 'flat-'));
  onTestFinished(async () => await rm(place, { recursive: true }));
  const file = async (content: object): Promise<string> => {
    const path = join(place, randomBytes(4).toString('hex'));
    await writeFile(path, JSON.stringify(content));
    return path;
  };
  for (const [name, value] of Object.entries({
    ...env,
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: encryptionKeys,
    QUEUE_BACKEND: 'postgres',
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
  })) {
    vi.stubEnv(name, value);
  }
  const printed = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error')];
  for (const print of printed) print.mockImplementation(() => undefined);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    for (const print of printed) print.mockRestore();
  });
  const [delivery] = await listDeliveries(app.operations.db, 'delivered', 1);
  const letter = grownId('letter', 1);
  const content = { account: '100101', terminal: '10000001', secureCode: 'code' };
  const former = ['former', '--family', 'accept_payments'];
  const runs: Readonly<Record<string, readonly (readonly string[])[]>> = {
    doctor: [[]],
    enqueue: [
      ['tokenization.request', '--file', await file(requestPayload())],
      ['token.disable', '--file', await file({ v: 1, merchantReferenceId: 'grown-1' })],
    ],
    show: [[active.id], ['grown-21']],
    'callbacks list': [[], ['--state', 'expired']],
    'callbacks replay': [[grownId('callback', 23)]],
    'credentials add': [['other', '--family', 'accept_payments', '--file', await file(content)]],
    'credentials list': [[]],
    'credentials rotate': [
      ['other', ...former.slice(1), '--file', await file({ secureCode: 'x' })],
    ],
    'credentials release': [former],
    'credentials remove': [former],
    'dead-letters list': [[]],
    'dead-letters redrive': [[letter]],
    'deliveries list': [[], ['--state', 'failed']],
    'deliveries replay': [[delivery?.id ?? '']],
    'deliveries enable': [[]],
    'api-keys add': [['till']],
    'api-keys list': [[]],
    'api-keys revoke': [['till']],
  };
  const leaves = leavesOf(await buildProgram());
  expect([...Object.keys(runs), ...commandsApart].toSorted()).toEqual(leaves.toSorted());
  for (const [command, calls] of Object.entries(runs)) {
    for (const args of calls) {
      await (await buildProgram()).parseAsync([...command.split(' '), ...args], { from: 'user' });
      const isExpected = process.exitCode === undefined || mayFail.includes(command);
      const output = printed.flatMap(({ mock }) => mock.calls.flat()).join('\n');
      process.exitCode = undefined;
      expect(isExpected, `${command} ${args.join(' ')}: ${output.slice(-500)}`).toBe(true);
    }
  }
}

/** Their look-ups run, and then they refuse what the grown rows are not. */
const mayFail = ['doctor', 'dead-letters redrive', 'callbacks replay', 'credentials release'];

const commandsFolder = new URL('../../src/cli/commands/', import.meta.url);

async function buildProgram(): Promise<Command> {
  const program = new Command().exitOverride();
  for (const file of await readdir(commandsFolder)) {
    const module: Readonly<Record<string, (program: Command) => void>> = await import(
      new URL(file, commandsFolder).href
    );
    for (const register of Object.values(module)) register(program);
  }
  return program;
}

function leavesOf(command: Command, path: readonly string[] = []): readonly string[] {
  if (command.commands.length === 0) return [path.join(' ')];
  return command.commands.flatMap((child) => leavesOf(child, [...path, child.name()]));
}

/** Runs the jobs that wait for their time otherwise. */
async function runJobs(
  worker: TestWorker,
  databaseUrl: string,
  active: TokenizationRow,
): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query(
      `update token_lifecycle.tokenization set reconcile_at = now() where id = '${grownId('tokenization', 11)}'`,
    );
  });
  const shop = openShop(worker);
  await shop.until(active.merchant_reference_id, 'disabled');
  const maintenance = worker.app.backend.queue('maintenance');
  for (const name of ['partition.manage', 'retention.expire']) {
    const job = await maintenance.add(name, { v: 1 });
    await eventually(`${name} is done`, async () => await job.isCompleted());
  }
}
