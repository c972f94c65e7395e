import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { acceptCallback, type InboundMessage } from '../../src/callback/accept.ts';
import { envelopeColumns, openEnvelope } from '../../src/callback/envelope.ts';
import { replayCallback } from '../../src/callback/replay.ts';
import { findCallback, makeRoomForUnreadable } from '../../src/db/callbacks.ts';
import type { Db } from '../../src/db/connection/database.ts';
import type { TokenizationRow } from '../../src/db/rows.ts';
import type { CallbackEnvelope } from '../../src/gateway/callback-message.ts';
import { Secret } from '../../src/security/secret.ts';
import { testActor } from '../support/builders.ts';
import { pagesRead } from '../support/buffers.ts';
import { sentFields } from '../support/envelopes.ts';
import { test } from '../support/harness/harness-test.ts';
import { type JobHarness, redirectWithoutPush } from '../support/harness/job-harness.ts';

/** Stores a push as the listener does. */
async function push(
  { dependencies }: JobHarness,
  body: string | Buffer,
  envelope: Omit<CallbackEnvelope, 'body'> &
    Partial<Pick<InboundMessage, 'addressedTo' | 'channel'>> & { readonly sourceIp?: string } = {},
) {
  const { id } = await acceptCallback(dependencies, {
    channel: 'notify',
    contentType: 'application/octet-stream',
    sourceIp: undefined,
    ...envelope,
    body: Buffer.from(body),
  });
  const row = await findCallback(dependencies.db, id);
  if (row === undefined) throw new Error('the message was not stored');
  return row;
}

async function judge(harness: JobHarness, callbackId: string): Promise<string> {
  return await harness.run('notify.handle', { callbackId });
}

async function ageMessage(db: Db, id: string, ageMs: number): Promise<void> {
  const receivedAt = new Date(Date.now() - ageMs);
  await db.updateTable('callback').set({ received_at: receivedAt }).where('id', '=', id).execute();
}

/** Bytes that are no text, around what a message might name. */
const wrapped = (...names: readonly string[]): Buffer =>
  Buffer.concat([Buffer.from([0x05, 0xff, 0x00, 0x9c]), Buffer.from(`[[${names.join('|')}]]`)]);

/** The readable fields of a message about a tokenization. */
const namesOf = (row: TokenizationRow) => ({
  account: row.account,
  terminal: row.terminal,
  merchant_reference_id: row.merchant_reference_id,
  order_reference_id: row.order_reference_id ?? '',
  quickpay_status: '1',
});

describe('a message that the worker cannot read', () => {
  test.for<[string, (row: TokenizationRow) => string | Buffer]>([
    [
      'the merchant reference and the account',
      (row) => wrapped(row.merchant_reference_id, row.account),
    ],
    ["the gateway's reference", (row) => wrapped(row.order_reference_id ?? '')],
    [
      'a reference in UTF-16 without any mark',
      (row) => Buffer.from(` x${row.merchant_reference_id} ${row.terminal}`.slice(2), 'utf16le'),
    ],
    [
      'fields of other names',
      (row) => JSON.stringify({ ref: row.merchant_reference_id, term: row.terminal, ok: true }),
    ],
    ['fields beside a blank account', (row) => JSON.stringify({ ...namesOf(row), account: ' ' })],
    [
      'fields beside a broken terminal',
      (row) => JSON.stringify({ ...namesOf(row), terminal: `${row.terminal}\u200b` }),
    ],
    [
      'fields beside an account in another encoding, after 300 other characters',
      (row) =>
        new URLSearchParams({
          order_remark: 'x'.repeat(300),
          ...namesOf(row),
          account: Buffer.from(row.account).toString('base64'),
        }).toString(),
    ],
    [
      'a list of messages',
      (row) => JSON.stringify([{ account: row.account, reference: row.merchant_reference_id }]),
    ],
  ])(
    'is kept byte by byte, and the gateway is queried at once about a token named by %s',
    async ([, bodyOf], { openJobHarness }) => {
      const harness = await openJobHarness();
      const opened = await harness.open(redirectWithoutPush);
      await harness.decide(opened.id, 'approve');
      const body = bodyOf(opened);
      const stored = await push(harness, body);
      expect(openEnvelope(harness.dependencies.keyring, stored).body).toEqual(Buffer.from(body));
      await judge(harness, stored.id);
      expect((await harness.row(opened.id)).state).toBe('active');
      expect(await findCallback(harness.dependencies.db, stored.id)).toMatchObject({
        state: 'rejected',
        reason: 'unreadable',
        tokenization_id: opened.id,
        is_believed: true,
      });
    },
  );

  test('about an active token makes the worker notice that the gateway disabled it', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id } = await harness.open(redirectWithoutPush);
    const quickpayId = await harness.decide(id, 'approve');
    await harness.confirm(id);
    await harness.gateway.cancelQuickPay(harness.account, new Secret(quickpayId));
    const stored = await push(harness, wrapped(quickpayId));
    expect(await judge(harness, stored.id)).toBe('rejected_unreadable');
    expect((await harness.row(id)).state).toBe('disabled');
  });

  test('makes the worker query again while the record of the gateway lags, for ten minutes', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id, order_reference_id: reference } = await harness.open(redirectWithoutPush);
    const stored = await push(harness, wrapped(reference ?? ''));
    expect(await judge(harness, stored.id)).toBe('not_confirmed_yet');
    expect((await harness.row(id)).version).toBe(3);
    await harness.decide(id, 'approve');
    harness.dropSharedAnswers();
    await judge(harness, stored.id);
    expect((await harness.row(id)).state).toBe('active');
  });

  test('causes no unbounded queries, and at most 20 about one tokenization are kept in full', async ({
    openJobHarness,
    database: { db },
  }) => {
    const harness = await openJobHarness();
    const { order_reference_id: reference } = await harness.open(redirectWithoutPush);
    const asked = harness.sandbox.state().calls.query;
    for (let count = 0; count < 25; count += 1) {
      const { id } = await push(harness, wrapped(`${count}`.padStart(300, '-'), reference ?? ''));
      await judge(harness, id);
    }
    expect(harness.sandbox.state().calls.query - asked).toBe(1);
    const rows = await db.selectFrom('callback').selectAll().execute();
    const whole = rows.filter((row) => openEnvelope(harness.dependencies.keyring, row).isWhole);
    expect([rows.length, whole.length]).toEqual([25, 20]);
    const tokenization = await db.selectFrom('tokenization').select('id').executeTakeFirst();
    // Each route has a share, so redirects and pushes displace no message of the other.
    for (const route of [
      { channel: 'redirect' },
      { channel: 'redirect', addressedTo: tokenization?.id },
    ] as const) {
      const other = await push(harness, wrapped('-'.repeat(300), reference ?? ''), route);
      expect(openEnvelope(harness.dependencies.keyring, other).isWhole).toBe(true);
    }
    // An excerpt has lost the name; the row has kept it.
    const excerpt = rows.find((row) => !whole.includes(row));
    await ageMessage(db, excerpt?.id ?? '', 3_600_000);
    expect(await judge(harness, excerpt?.id ?? '')).toBe('rejected_unreadable');
  });

  test('is judged by a later release that can read it', async ({ openJobHarness }) => {
    const harness = await openJobHarness();
    const { keyring, door, db } = harness.dependencies;
    const row = await harness.open(redirectWithoutPush);
    const quickpayId = await harness.decide(row.id, 'approve');
    const fields = {
      ...sentFields,
      ...harness.account,
      order_reference_id: row.order_reference_id ?? '',
      merchant_reference_id: row.merchant_reference_id,
      quickpay_id: quickpayId,
    };
    // As a release stored it that could not read JSON in Latin-1 beside a query string.
    const id = crypto.randomUUID();
    const { account, terminal, ...rest } = fields;
    const envelope = {
      contentType: 'application/json; charset=ISO-8859-1',
      body: Buffer.from(JSON.stringify({ ...rest, secureCode: undefined }), 'latin1'),
      query: new URLSearchParams({ account, terminal }).toString(),
    };
    await door.apply({
      entity: 'callback',
      row: { id, version: 0, state: null },
      event: 'callback.refused',
      patch: {
        channel: 'notify',
        semantic_key: 'digest',
        message_digest: 'digest',
        reason: 'unreadable',
        received_at_in_ms: 0,
        last_seen_at_in_ms: 0,
        ...envelopeColumns(keyring, id, envelope, true),
      },
      audit: { actor: testActor },
    });
    expect(await replayCallback(harness.dependencies, id, { actor: testActor })).toEqual({
      isReplayed: true,
    });
    await judge(harness, id);
    await harness.confirm(row.id);
    expect((await harness.row(row.id)).state).toBe('active');
    expect(await findCallback(db, id)).toMatchObject({ state: 'accepted', reason: null });
  });

  test('stays as it is when it is replayed without an update', async ({ openJobHarness }) => {
    const harness = await openJobHarness();
    const { id } = await push(harness, `{"no": "account", "filler": "${'x'.repeat(2_000)}"}`);
    await expect(
      replayCallback(harness.dependencies, id, { actor: testActor }),
    ).rejects.toMatchObject({ code: 'state_forbids', message: /after an update/ });
    const row = await findCallback(harness.dependencies.db, id);
    expect(row).toMatchObject({ state: 'rejected', reason: 'unreadable' });
  });

  test('to a per-request notify URL is kept in full, however many others name the tokenization', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id, order_reference_id: reference } = await harness.open(redirectWithoutPush);
    const isWhole = async (mark: string, addressedTo?: string) => {
      const body = wrapped(mark.padStart(300, '-'), reference ?? '');
      const row = await push(harness, body, { addressedTo });
      return openEnvelope(harness.dependencies.keyring, row).isWhole;
    };
    for (let count = 0; count < 20; count += 1) await isWhole(`${count}`);
    expect(await isWhole('from anyone')).toBe(false);
    expect(await isWhole('from the gateway', id)).toBe(true);
  });

  test.for<[string, (n: number) => string]>([
    ['one address', () => '192.0.2.66'],
    ['one IPv6 network', (n) => `2001:db8::${n.toString(16)}`],
  ])(
    'and names no tokenization displaces one of the same sender, not of the gateway: a flood from %s',
    async ([, addressOf], { openJobHarness, database: { db } }) => {
      const harness = await openJobHarness();
      const { keyring } = harness.dependencies;
      const body = (mark: string): string => `{"mark":"${mark}","filler":"${'x'.repeat(500)}"}`;
      const send = async (mark: string, sourceIp: string) =>
        await push(harness, body(mark), { sourceIp });
      const early = await send('gateway, early', '203.0.113.7');
      const flood = await send('flood 0', addressOf(0));
      const copies = Array.from({ length: 998 }, (_, n) => ({
        ...flood,
        id: crypto.randomUUID(),
        message_digest: `copy-${n}`,
      }));
      await db.insertInto('callback').values(copies).execute();
      const sent = await Promise.all([1, 2, 3].map((n) => send(`flood ${n}`, addressOf(n))));
      const late = await send('gateway, late', '203.0.113.7');
      for (const { id } of [early, late, ...sent]) {
        const row = await findCallback(db, id);
        expect(row && openEnvelope(keyring, row).isWhole).toBe(true);
      }
      expect(await db.selectFrom('callback').select('id').execute()).toHaveLength(1_000);
      // The test adds rows without audit rows, which the harness would report.
      const ids = copies.map(({ id }) => id);
      await db.deleteFrom('callback').where('id', 'in', ids).execute();
    },
  );
});

test('room for an unreadable message costs no more with thousands of other refused messages', async ({
  database: { db },
  databaseUrl,
}) => {
  await sql`
    insert into callback (id, channel, semantic_key, message_digest, body_sealed, body_bytes, reason,
      seen_count, last_seen_at, received_at, state, version, created_at, updated_at)
    select gen_random_uuid(), 'notify', 'k', n::text, 'sealed', 600,
      case when n <= 10 then 'unreadable' else 'unknown_account' end,
      1, now(), now(), 'rejected', 1, now(), now()
    from generate_series(1, 5000) n`.execute(db);
  expect(await pagesRead(databaseUrl, makeRoomForUnreadable)).toBeLessThan(30);
});

describe('a message with a field that the worker cannot read', () => {
  test('changes nothing, and the gateway is queried about the token that it names', async ({
    openJobHarness,
  }) => {
    const harness = await openJobHarness();
    const { id } = await harness.open(redirectWithoutPush);
    const quickpayId = await harness.decide(id, 'approve');
    const { callback } = await harness.receive(id, 'redirect', {
      status: '1',
      quickpayId,
      fields: { merchant_reference_id: 'altered on its way' },
    });
    expect(callback).toMatchObject({ state: 'rejected', reason: 'grammar', tokenization_id: id });
    expect((await harness.row(id)).state).toBe('active');
  });
});
