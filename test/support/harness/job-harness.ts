import { createAccounts } from '../../../src/account/accounts.ts';
import { randomBytes, randomInt } from 'node:crypto';
import { sql } from 'kysely';
import { loadConfig } from '../../../src/config/config.ts';
import type { CallbackRow, TokenizationRow } from '../../../src/db/rows.ts';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import type { Db } from '../../../src/db/connection/database.ts';
import { createGatewayClient, type GatewayClient } from '../../../src/gateway/client.ts';
import { signatureFields } from '../../../src/gateway/signature-fields.ts';
import { computeSignature } from '../../../src/gateway/signature.ts';
import { acceptCallback } from '../../../src/callback/accept.ts';
import { acceptTokenization } from '../../../src/tokenization/request/accept.ts';
import type { JobDependencies, JobSettings } from '../../../src/execution/dependencies.ts';
import { createCoalescedQueries } from '../../../src/gateway/coalesced-queries.ts';
import { storeCredential } from '../../../src/credential/store.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../../src/sandbox/sandbox.ts';
import { createKeyring, generateEncryptionKey } from '../../../src/security/keyring.ts';
import { Secret } from '../../../src/security/secret.ts';
import { readAuditEvents } from '../audit-events.ts';
import { requestPayload, testActor } from '../builders.ts';
import { runJob, wordOf } from './run-job.ts';
import { decideOnPage } from './shop.ts';

/** A sandbox remark: the customer gets a redirect address, and the gateway sends no push. */
export const redirectWithoutPush = 'sandbox:redirect+dropped';

/** A message of the gateway. Fields that a test leaves out are filled in from the tokenization. */
export interface TestMessage {
  readonly status: '1' | '0' | '-1';
  readonly quickpayId?: string;
  /** Whether the message is signed and the signature mode makes that a proof. */
  readonly isProven?: boolean;
  /** Fields to set or replace. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** Runs the real jobs one at a time against PostgreSQL and a gateway sandbox, without queues. */
export interface JobHarness {
  readonly sandbox: Sandbox;
  readonly gateway: GatewayClient;
  readonly dependencies: JobDependencies;
  readonly account: {
    readonly account: string;
    readonly terminal: string;
    readonly secureCode: Secret;
  };
  /** Accepts a request with this sandbox remark and, unless `isSent` is false, sends it. */
  readonly open: (
    remark: string,
    isSent?: boolean,
    referenceId?: string,
  ) => Promise<TokenizationRow>;
  /**
   * Runs one job, with the harness's dependencies unless `as` replaces them; returns its result.
   */
  readonly run: (
    name: string,
    payload: Readonly<Record<string, unknown>>,
    as?: JobDependencies,
  ) => Promise<string>;
  /** Runs `tokenization.confirm`. */
  readonly confirm: (id: string) => Promise<string>;
  /**
   * Stores a form of these fields, with the harness's account, in the inbox; returns the callback's
   * id.
   */
  readonly storeMessage: (
    channel: 'notify' | 'redirect',
    fields: Readonly<Record<string, string>>,
  ) => Promise<string>;
  /** Stores a message about a tokenization and runs the job that judges it. */
  readonly receive: (
    id: string,
    channel: 'notify' | 'redirect',
    message: TestMessage,
  ) => Promise<{ readonly result: string; readonly callback: CallbackRow }>;
  /** The customer decides on the row's page, or on `page`. Returns the QuickPay ID, or `''`. */
  readonly decide: (id: string, decision: 'approve' | 'decline', page?: string) => Promise<string>;
  readonly row: (id: string) => Promise<TokenizationRow>;
  /** The audit events of an entity, oldest first. */
  readonly events: (id: string) => Promise<readonly string[]>;
  /**
   * Lets time pass for one tokenization: its next step is due, its lease over, and the answer that
   * it was lost a minute old.
   */
  readonly makeDue: (id: string) => Promise<void>;
  readonly passDeadline: (id: string) => Promise<void>;
  /** Drops the answers that unproven messages share, so that the next one makes a query. */
  readonly dropSharedAnswers: () => void;
  /** Sets columns of a tokenization by SQL assignments. */
  readonly alter: (id: string, assignments: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

const fieldList = signatureFields.Q1;

/**
 * Opens a harness on the test's database. Tests take it from `harness-test.ts`, which closes it.
 */
export async function openJobHarness(
  place: { readonly db: Db; readonly door: TransitionDoor; readonly databaseUrl: string },
  options: {
    readonly settings?: Partial<JobSettings>;
    readonly faults?: SandboxOptions['faults'];
    readonly wrapGateway?: (gateway: GatewayClient) => GatewayClient;
  } = {},
): Promise<JobHarness> {
  const { db, door, databaseUrl } = place;
  const account = {
    account: String(randomInt(100_000, 1_000_000)),
    terminal: String(randomInt(10_000_000, 100_000_000)),
    secureCode: randomBytes(12).toString('hex'),
  };
  const sandbox = await startSandbox({
    accounts: [account],
    ...(options.faults === undefined ? {} : { faults: options.faults }),
  });
  const config = loadConfig({
    DATABASE_URL: databaseUrl,
    ENCRYPTION_KEYS: `k1:${generateEncryptionKey('k1').key.reveal()}`,
    OCEANPAYMENT_CHECKOUT_URL: sandbox.checkoutUrl,
    OCEANPAYMENT_OPEN_API_URL: sandbox.openApiUrl,
    REDIRECT_HOST_ALLOW_LIST: '127.0.0.1',
    CALLBACK_PUBLIC_URL: 'http://127.0.0.1:9',
    NOTIFY_SIGNATURE_MODE: 'observe',
    GATEWAY_TIMEOUT_MS: '1000',
  });
  const plain = createGatewayClient(config.gateway);
  const gateway = options.wrapGateway?.(plain) ?? plain;
  let coalescedQueries = createCoalescedQueries();
  const keyring = createKeyring(config.encryptionKeys);
  const dependencies: JobDependencies = {
    db,
    door,
    keyring,
    accounts: createAccounts(db, keyring, 0),
    settings: {
      ...config.jobs,
      signatures: {
        redirect: { mode: 'off' },
        notify: { mode: 'observe', fields: fieldList },
      },
      ...options.settings,
    },
    gateway,
    webhooks: undefined,
    logger: createLogger({ level: 'silent' }),
    workerId: 'harness',
    random: () => 0.5,
    coalescedQueries: { ask: async (...question) => await coalescedQueries.ask(...question) },
    enqueue: async () => await Promise.resolve(),
  };
  await storeCredential(
    dependencies,
    {
      name: 'default',
      environment: 'sandbox',
      family: 'accept_payments',
      account: account.account,
      terminal: account.terminal,
      secrets: { secureCode: account.secureCode },
    },
    testActor,
  );
  const proven: JobDependencies = {
    ...dependencies,
    settings: {
      ...dependencies.settings,
      signatures: {
        ...dependencies.settings.signatures,
        notify: { mode: 'verify', fields: fieldList },
      },
    },
  };
  const secureCode = new Secret(account.secureCode);

  const run: JobHarness['run'] = async (name, payload, as = dependencies) =>
    wordOf(await runJob(name, payload, as));
  const row: JobHarness['row'] = async (id) =>
    await db.selectFrom('tokenization').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const alter: JobHarness['alter'] = async (id, text) => {
    await sql`update tokenization set ${sql.raw(text)} where id = ${id}`.execute(db);
  };

  const ownAccount = { account: account.account, terminal: account.terminal };
  const storeMessage: JobHarness['storeMessage'] = async (channel, fields) => {
    const { id } = await acceptCallback(dependencies, {
      channel,
      contentType: 'application/x-www-form-urlencoded',
      body: Buffer.from(new URLSearchParams({ ...ownAccount, ...fields }).toString()),
      sourceIp: undefined,
    });
    return id;
  };

  return {
    sandbox,
    gateway,
    dependencies,
    account: { ...account, secureCode },
    run,
    row,
    async open(remark, isSent = true, referenceId?) {
      const request = requestPayload(
        referenceId === undefined ? { remark } : { remark, referenceId },
      );
      const { tokenization } = await acceptTokenization(dependencies, request, {
        audit: { actor: testActor },
      });
      if (isSent) await run('tokenization.request', { tokenizationId: tokenization.id });
      return await row(tokenization.id);
    },
    confirm: async (id) => await run('tokenization.confirm', { tokenizationId: id }),
    storeMessage,
    async receive(id, channel, { status, quickpayId, isProven = false, fields = {} }) {
      const about = await row(id);
      const values: Record<string, string> = {
        ...ownAccount,
        merchant_reference_id: about.gateway_reference,
        ...(about.order_reference_id === null
          ? {}
          : { order_reference_id: about.order_reference_id }),
        ...(quickpayId === undefined ? {} : { quickpay_id: quickpayId }),
        quickpay_status: status,
        ...fields,
      };
      if (isProven) values['signature'] = computeSignature(fieldList, values, secureCode);
      const callbackId = await storeMessage(channel, values);
      const name = channel === 'notify' ? 'notify.handle' : 'callback.verify';
      const result = await run(name, { callbackId }, isProven ? proven : dependencies);
      const callback = await db
        .selectFrom('callback')
        .selectAll()
        .where('id', '=', callbackId)
        .executeTakeFirstOrThrow();
      return { result, callback };
    },
    async decide(id, decision, page) {
      const { fields } = await decideOnPage(page ?? (await row(id)).redirect_url ?? '', decision);
      return new Map(fields).get('quickpay_id') ?? '';
    },
    events: async (id) => await readAuditEvents(db, id),
    makeDue: async (id) =>
      await alter(
        id,
        `reconcile_at = case when reconcile_at is null then null else now() - interval '1 second' end,
         lost_answer_at = lost_answer_at - interval '61 seconds', lease_until = lease_until - interval '1 day'`,
      ),
    passDeadline: async (id) =>
      await alter(
        id,
        `deadline_at = now() - interval '1 second', reconcile_at = now() - interval '1 second'`,
      ),
    dropSharedAnswers: () => (coalescedQueries = createCoalescedQueries()),
    alter,
    async close() {
      await gateway.close();
      await sandbox.close();
    },
  };
}
