import { describe, expect } from 'vitest';
import { findAccessToken } from '../../src/db/access-tokens.ts';
import { findCredential } from '../../src/db/credentials.ts';
import { signatureFields } from '../../src/gateway/signature-fields.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { tokenPlace } from '../../src/access-token/row.ts';
import { disableToken } from '../../src/tokenization/token/disable.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { eventually } from '../support/eventually.ts';
import { openShop, type Shop } from '../support/harness/shop.ts';
import type { TestWorker } from '../support/harness/worker.ts';
import { test } from '../support/harness/worker-test.ts';

type Faults = NonNullable<SandboxOptions['faults']>;

interface World {
  /** The gateway's word for a failure. */
  readonly failureWord: string;
  readonly worker: TestWorker;
  readonly shop: Shop;
}

/** The answers to these checks show which way each switch stands. They run at the same time. */
const checks = {
  async approved({ shop }: World) {
    const row = await opened(shop, 'approved', 'sandbox:redirect');
    await shop.decide(row, 'approve');
    return (await shop.until('approved', 'active')).state;
  },
  async declined({ shop }: World) {
    const row = await opened(shop, 'declined', 'sandbox:redirect');
    await shop.decide(row, 'decline');
    return (await shop.until('declined', 'failed')).state;
  },
  async activatedBy({ worker, shop }: World) {
    const row = await opened(shop, 'signed', 'sandbox:redirect');
    await shop.decide(row, 'approve');
    await shop.until('signed', 'active');
    return (await auditOf(worker, row.id, 'tokenization.activated')).channel;
  },
  async longField({ worker, shop }: World) {
    const firstname = 'Wolfeschlegelsteinhausenbergerdorff-Welchevoralternwaren';
    const { billing } = requestPayload();
    const { tokenization } = await shop.accept(
      { referenceId: 'long', remark: 'sandbox:direct' },
      { billing: { ...billing, firstname } },
    );
    await shop.until('long', 'active');
    const warning = worker.logs.find((line) => line.includes('billing.firstname')) ?? '';
    expect(JSON.parse(warning)).toMatchObject({ tokenizationId: tokenization.id });
    return warning.includes(firstname) ? 'its value is logged' : 'sent, and its name logged';
  },
  async refused({ shop }: World) {
    await shop.accept({ referenceId: 'refused', remark: 'sandbox:refuse' });
    return await stateAfter(shop, 'refused', ['requested', 'submitting']);
  },
  async expiresAt({ shop }: World) {
    await shop.accept({ referenceId: 'expiring', remark: 'sandbox:direct' });
    const row = await eventually('the expiry is known', async () => {
      const active = await shop.until('expiring', 'active');
      return active.expires_at !== null && active;
    });
    return row.expires_at?.toISOString();
  },
  async cancelled({ worker, shop }: World) {
    await shop.accept({ referenceId: 'cancelled', remark: 'sandbox:direct' });
    const { id } = await shop.until('cancelled', 'active');
    await disableToken(worker.app.operations, { v: 1, tokenizationId: id }, { actor: testActor });
    await shop.until('cancelled', 'disabled');
    return (await auditOf(worker, id, 'token.disabled')).detail['rawStatus'];
  },
  async acknowledged({ worker, shop }: World) {
    const row = await opened(shop, 'acknowledged', 'sandbox:redirect');
    await shop.decide(row, 'approve');
    return await eventually('the first attempt is over', () => {
      const { creations } = worker.sandbox.state();
      const creation = creations.find(
        ({ merchantReferenceId }) => merchantReferenceId === 'acknowledged',
      );
      const attempt = creation?.pushes[0]?.attempts[0];
      return attempt && `${attempt.answer} ${attempt.isAcknowledged}`;
    });
  },
  async unsignedPush({ shop }: World) {
    const fields = { merchant_reference_id: 'nobody', quickpay_status: 'x' };
    return (await shop.forge('notify', fields)).status;
  },
  async unsignedRedirect({ worker, shop, failureWord }: World) {
    await opened(shop, 'unsigned', 'sandbox:redirect+dropped');
    await shop.forge('redirect', {
      merchant_reference_id: 'unsigned',
      quickpay_status: failureWord,
    });
    const row = await callbackAbout(worker, 'unsigned');
    return `${row.state} ${row.reason ?? ''}`.trim();
  },
  async repeatedName({ worker }: World) {
    const { account, terminal } = worker.account;
    const body = `account=${account}&terminal=${terminal}&quickpay_status=x&merchant_reference_id=one&merchant_reference_id=two`;
    await post(worker, body, 'application/x-www-form-urlencoded');
    const row = await eventually('it is stored', async () =>
      (await callbacks(worker)).find(({ merchant_reference_id: reference }) =>
        ['one', 'two'].includes(reference ?? ''),
      ),
    );
    return row.merchant_reference_id;
  },
  async xml({ worker }: World) {
    const { account, terminal } = worker.account;
    const reference = '<merchant_reference_id>of-xml</merchant_reference_id>';
    const body = `<r><account>${account}</account><terminal>${terminal}</terminal>${reference}</r>`;
    await post(worker, body, 'application/xml');
    const row = await eventually('it is stored', async () =>
      (await callbacks(worker)).find(({ content_type: type }) => type === 'application/xml'),
    );
    return row.merchant_reference_id;
  },
  async refreshToken({ worker }: World) {
    const { db, keyring } = worker.app.operations;
    const credential = await findCredential(db, 'default', 'opcard');
    const generation = async (number: number) =>
      await eventually(`generation ${number}`, async () => {
        const row = await findAccessToken(db, credential?.id ?? '');
        return row?.generation === number && row.state === 'fresh' && row;
      });
    const refreshTokenOf = ({
      id,
      refresh_token_sealed: sealed,
    }: {
      id: string;
      refresh_token_sealed: string | null;
    }) => keyring.open(tokenPlace('refresh_token_sealed', id), sealed ?? '').reveal();
    const first = await generation(1);
    // A token that was issued a moment ago is not renewed.
    const issuedAt = new Date(Date.now() - 1_800_000);
    await db.updateTable('access_token').set({ issued_at: issuedAt }).execute();
    const queue = worker.app.backend.queue('access-token');
    await queue.add('access-token.refresh', { v: 1, credential: 'default', generation: 1 });
    const second = await generation(2);
    return refreshTokenOf(first) === refreshTokenOf(second) ? 'kept' : 'replaced';
  },
  async unknownReference({ shop }: World) {
    await shop.accept({ referenceId: 'lost', remark: 'sandbox:redirect+lost-reply' });
    return await eventually('it is settled or was queried three times', async () => {
      const row = await shop.find('lost');
      if (row === undefined || row.state === 'submitting') return undefined;
      if (row.review !== null) return row.review;
      if (row.attempt > 1) {
        return row.gateway_reference === 'lost'
          ? 'sent again under it'
          : 'sent again under another';
      }
      return row.state === 'submit_unknown' && row.reconcile_step >= 3 && 'unknown';
    });
  },
};

type Check = keyof typeof checks;
type Answers = Partial<Record<Check, unknown>>;

async function opened(shop: Shop, referenceId: string, remark: string) {
  await shop.accept({ referenceId, remark });
  return await shop.until(referenceId, 'awaiting_customer');
}

async function stateAfter(shop: Shop, reference: string, passed: readonly string[]) {
  return await eventually(`${reference} is past ${passed.join()}`, async () => {
    const row = await shop.find(reference);
    return row !== undefined && !passed.includes(row.state) && row.state;
  });
}

const callbacks = async ({ app }: TestWorker) =>
  await app.operations.db.selectFrom('callback').selectAll().execute();

async function callbackAbout(worker: TestWorker, reference: string) {
  return await eventually('there is a verdict', async () =>
    (await callbacks(worker)).find(
      ({ merchant_reference_id: about, state }) => about === reference && state !== 'received',
    ),
  );
}

async function auditOf({ app }: TestWorker, id: string, event: string) {
  return await app.operations.db
    .selectFrom('audit_event')
    .select(['channel', 'detail'])
    .where('entity_id', '=', id)
    .where('event', '=', event)
    .executeTakeFirstOrThrow();
}

async function post({ app }: TestWorker, body: string, contentType: string): Promise<void> {
  const headers = { 'content-type': contentType };
  await fetch(`${app.urls?.public}/callbacks/notify`, { method: 'POST', headers, body });
}

const common = {
  LOST_ANSWER_SPACING_MS: '1000',
  RECONCILE_SCHEDULE_MS: '300,300,300,300,3000000',
  AWAITING_CUSTOMER_DEADLINE_MS: '86400000',
};
const commonFaults: Faults = { pendingVisible: false, oldRefreshGraceMs: 3_600_000 };
const list = signatureFields.Q1.join();

const asDocumented: Answers = {
  approved: 'active',
  declined: 'failed',
  longField: 'sent, and its name logged',
  activatedBy: 'query',
  refused: 'failed',
  expiresAt: '2030-09-30T16:00:00.000Z',
  cancelled: '0',
  acknowledged: 'receive-ok true',
  unsignedPush: 200,
  unsignedRedirect: 'accepted',
  repeatedName: 'two',
  xml: 'of-xml',
  refreshToken: 'replaced',
  unknownReference: 'sent again under another',
};

/** What the gateway does, how the environment is set for that, and what the checks then find. */
const worlds: readonly (readonly [string, Faults, Record<string, string>, Answers])[] = [
  ['as documented', {}, {}, asDocumented],
  [
    'otherwise',
    {
      successCode: '0000',
      notFoundAnswer: 'code',
      statusWords: { '1': 'USABLE', '0': 'BROKEN', '-1': 'OPEN' },
      requiredNodes: ['device', 'customer_info'],
      acknowledgement: 'SUCCESS',
      pushFormat: 'json',
      expiryTime: '2030-10-01 12:00:00',
      oauthShape: 'result.jwt',
      oauthSuccessCode: '200',
    },
    {
      GATEWAY_SUCCESS_CODES: '0000',
      GATEWAY_RETRYABLE_CODES: '40003',
      GATEWAY_NOT_FOUND_CODES: '49999',
      GATEWAY_STATUS_MAP: 'USABLE=active,BROKEN=failed,OPEN=pending',
      GATEWAY_REQUIRED_NODES: 'order,merchant,billing,customer,device,customer_info',
      OAUTH_SUCCESS_CODES: '200',
      OAUTH_ACCESS_TOKEN_PATHS: 'result.jwt',
      OAUTH_REFRESH_TOKEN_PATHS: 'result.renewal',
      OAUTH_EXPIRES_IN_PATHS: 'result.seconds',
      OAUTH_REFRESH_TOKEN_POLICY: 'keep',
      NOTIFY_ACK_BODY: 'SUCCESS',
      NOTIFY_SIGNATURE_MODE: 'verify',
      NOTIFY_SIGNATURE_FIELDS: list,
      NOTIFY_ON_BAD_SIGNATURE: 'reject',
      NOTIFY_SOURCE_ALLOW_LIST: '127.0.0.0/8',
      REDIRECT_SIGNATURE_MODE: 'verify',
      REDIRECT_SIGNATURE_FIELDS: list,
      CONFIRM_POLICY: 'signed',
      CALLBACK_FORMATS: 'form,json',
      CALLBACK_DUPLICATES: 'first',
      CANCEL_CONFIRM: 'none',
      EXPIRY_ZONE: 'Europe/Berlin',
      EXPIRY_SAFETY_MS: '3600000',
    },
    {
      approved: 'active',
      declined: 'failed',
      activatedBy: 'notify',
      refused: 'submit_unknown',
      expiresAt: '2030-10-01T09:00:00.000Z',
      cancelled: 'not_queried',
      acknowledged: 'SUCCESS true',
      unsignedPush: 400,
      unsignedRedirect: 'rejected signature_absent',
      repeatedName: 'one',
      xml: null,
      refreshToken: 'kept',
      unknownReference: 'unknown',
    },
  ],
  [
    'with pushes from an address that may not push, and without signatures',
    { oauthShape: 'data.accessToken', oauthSuccessCode: '200' },
    {
      RESUBMIT_POLICY: 'manual',
      NOTIFY_SOURCE_ALLOW_LIST: '192.0.2.1',
      NOTIFY_SIGNATURE_MODE: 'off',
      REDIRECT_SIGNATURE_MODE: 'off',
    },
    { unknownReference: 'lost_request', unsignedPush: 403, refreshToken: 'replaced' },
  ],
  [
    'with lost requests under the same reference, and a code for not found',
    { createIdempotency: 'second-token', notFoundAnswer: 'code' },
    { RESUBMIT_POLICY: 'same-reference', GATEWAY_NOT_FOUND_CODES: '40004' },
    { unknownReference: 'sent again under it' },
  ],
];

describe('the switches of the protocol', () => {
  test.for(worlds)('%s', async ([, faults, env, expected], { startWorker }) => {
    const worker = await startWorker({
      sandbox: { faults: { ...commonFaults, ...faults } },
      env: { ...common, ...env },
    });
    const failureWord = faults.statusWords?.['0'] ?? '0';
    const world = { worker, shop: openShop(worker), failureWord };
    const names = Object.keys(checks).filter((name): name is Check => name in expected);
    const answers = await Promise.all(
      names.map(async (name) => [name, await checks[name](world)] as const),
    );
    expect(Object.fromEntries(answers)).toEqual(expected);
  });

  test('a customer is sent to no host outside the list', async ({ startWorker }) => {
    const worker = await startWorker({ env: { REDIRECT_HOST_ALLOW_LIST: '*.oceanpayment.com' } });
    const shop = openShop(worker);
    await shop.accept({ referenceId: 'elsewhere', remark: 'sandbox:redirect+dropped' });
    const state = await stateAfter(shop, 'elsewhere', ['requested', 'submitting']);
    expect([state, (await shop.find('elsewhere'))?.redirect_url]).toEqual(['submit_unknown', null]);
  });

  test('an unknown status word decides nothing, in a reply or in a push', async ({
    startWorker,
  }) => {
    const worker = await startWorker({
      env: { RECONCILE_SCHEDULE_MS: '3000000' },
      sandbox: { faults: { statusWords: { '1': 'ODD', '0': '0', '-1': '-1' } } },
    });
    const shop = openShop(worker);
    await shop.accept({ referenceId: 'odd', remark: 'sandbox:direct+dropped' });
    const row = await shop.until('odd', 'confirming');
    expect([row.attempt, row.quickpay_id_sealed]).toEqual([1, null]);
    worker.sandbox.setFaults({ statusWords: { '1': '1', '0': '0', '-1': '-1' } });
    const about = { merchant_reference_id: 'odd', quickpay_id: 'made-up', quickpay_status: 'PAID' };
    await shop.forge('notify', about);
    await shop.until('odd', 'active');
    expect((await callbackAbout(worker, 'odd')).reason).toBe('unknown_status');
  });
});
