import { sql } from 'kysely';
import { expect } from 'vitest';
import { holdDueToken, test, type TokenHarness } from '../../support/harness/token-harness.ts';

/**
 * Whether a worker whose call took this text from the gateway has left it, readable or sealed,
 * anywhere in the row or its trail.
 */
async function isStored(
  { dependencies: { db, keyring }, row }: TokenHarness,
  text: string,
): Promise<boolean> {
  const token = await row('cards');
  const { rows: trail } = await sql<{ line: string }>`
    select e::text as line from audit_event e where entity_id = ${token.id}`.execute(db);
  const columns = Object.entries(token).map(([column, value]) => {
    if (!column.endsWith('_sealed') || typeof value !== 'string') return String(value);
    return keyring.open({ table: 'access_token', column, rowId: token.id }, value).reveal();
  });
  return [...columns, ...trail.map(({ line }) => line)].some((stored) => stored.includes(text));
}

test.for([
  { overtaker: 'renewed the token', isRenewed: true },
  { overtaker: 'failed', isRenewed: false },
])(
  'a pair that comes after its lease was lost to a worker that $overtaker is recorded and dropped, and the next renewal calls the gateway again',
  async ({ isRenewed }, { openTokenHarness }) => {
    const harness = await openTokenHarness();
    const { gateway } = harness;
    await holdDueToken(harness, 'cards', 'app-1');
    const isUnknown = async () =>
      await Promise.resolve({ kind: 'unknown', cause: 'timeout' } as const);
    const late: string[] = [];
    let before = await harness.row('cards');
    const slow: typeof gateway.refreshAccessToken = async (...call) => {
      const reply = await gateway.refreshAccessToken(...call);
      if (reply.kind !== 'done') return expect.fail();
      late.push(reply.accessToken.reveal(), reply.refreshToken?.reveal() ?? expect.fail());
      await harness.makeDue('cards');
      const other = isRenewed ? gateway : { ...gateway, refreshAccessToken: isUnknown };
      const result = await harness.renew('cards', { as: { workerId: 'other', gateway: other } });
      expect(result).toBe(isRenewed ? 'issued' : 'outcome_unknown');
      before = await harness.row('cards');
      return reply;
    };
    const as = { gateway: { ...gateway, refreshAccessToken: slow } };
    expect(await harness.renew('cards', { as })).toBe('overtaken');

    const {
      version,
      updated_at: updatedAt,
      read_at: readAt,
      ...after
    } = await harness.row('cards');
    expect(before).toMatchObject(after);
    expect(version).toBe(before.version + 1);
    expect(updatedAt <= readAt).toBe(true);
    expect((await harness.events('cards')).slice(before.version)).toEqual(['late_reply']);
    for (const text of late) expect(await isStored(harness, text)).toBe(false);

    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe(isRenewed ? 'refreshed' : 'issued');
    expect(await harness.isGood((await harness.accessToken('cards')) ?? '')).toBe(true);
  },
);

test('a pair is dropped if its application was replaced or its credential removed during the call', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness({ appKeys: ['app-1', 'app-2'] });
  const renewWhile = async (change: () => Promise<void>): Promise<string> => {
    const refreshAccessToken: typeof harness.gateway.refreshAccessToken = async (...call) => {
      const reply = await harness.gateway.refreshAccessToken(...call);
      await change();
      return reply;
    };
    return await harness.renew('cards', {
      as: { gateway: { ...harness.gateway, refreshAccessToken } },
    });
  };
  await holdDueToken(harness, 'cards', 'app-1');
  expect(await renewWhile(async () => await harness.add('cards', 'app-2'))).toBe('overtaken');
  expect(await harness.row('cards')).toMatchObject({ state: 'none', access_token_sealed: null });
  expect(await harness.renew('cards')).toBe('issued');

  await harness.makeDue('cards');
  expect(await renewWhile(async () => await harness.remove('cards'))).toBe('overtaken');
  expect(await harness.row('cards')).toMatchObject({ state: 'none', access_token_sealed: null });
});
