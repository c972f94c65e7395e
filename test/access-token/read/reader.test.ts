import { sql } from 'kysely';
import { describe, expect } from 'vitest';
import { openDatabase } from '../../../src/db/connection/database.ts';
import type { TransitionDoor } from '../../../src/db/transition-door.ts';
import { accessTokenStates } from '../../../src/domain/access-token.ts';
import type { UnrecordedReads } from '../../../src/access-token/read/read-audit.ts';
import { createAccessTokenReader } from '../../../src/access-token/read/reader.ts';
import { reportInvalidToken } from '../../../src/access-token/read/report-invalid.ts';
import { eventually } from '../../support/eventually.ts';
import { holdDueToken, test } from '../../support/harness/token-harness.ts';
import { shop, withReader } from '../../support/harness/token-reader.ts';

describe('a reader', () => {
  test('gets a valid token at once in every state of its renewal', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const { id } = await harness.row('cards');
    const { db } = harness.dependencies;
    // No read may wait here: nothing would renew the token.
    const reader = createAccessTokenReader({
      ...harness.dependencies,
      isSubscribed: () => false,
      waitMsMax: 0,
    });
    for (const state of accessTokenStates) {
      await sql`update access_token set state = ${state}, failures = 3,
        due_at = now() + interval '1 hour', lease_until = now() + interval '1 hour' where id = ${id}`.execute(
        db,
      );
      const token = await reader.read('cards', shop);
      expect(token.accessToken.reveal()).toBe(await harness.accessToken('cards'));
      expect(token.secondsLeft).toBeGreaterThan(3_500);
    }
    await sql`update access_token set state = 'fresh' where id = ${id}`.execute(db);
    await reader.close();
  });

  test('queries PostgreSQL once and then reads its cache, until another process commits a new token', async ({
    openTokenHarness,
    databaseUrl,
  }) => {
    const harness = await openTokenHarness();
    // Time stands still, so age alone makes no read load the token again.
    const { reader, outcomes } = await withReader(harness, databaseUrl, () => 0);
    outcomes.length = 0;
    for (let reads = 0; reads < 100; reads += 1) await reader.read('cards', shop);
    expect(new Set(outcomes)).toEqual(new Set(['memory']));

    await harness.makeDue('cards');
    expect(await harness.renew('cards')).toBe('refreshed');
    const newer = async () => {
      const read = await reader.read('cards', shop);
      return read.generation === 2 && read;
    };
    const token = await eventually('the notification of the new generation', newer);
    expect(token.accessToken.reveal()).toBe(await harness.accessToken('cards'));
    await reader.close();
  });

  test('queries PostgreSQL each time while its subscription is down, and subscribes again', async ({
    openTokenHarness,
    databaseUrl,
    database,
  }) => {
    const harness = await openTokenHarness();
    const { reader, outcomes } = await withReader(harness, databaseUrl);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'token_lifecycle_access_token' and datname = current_database()`
      .execute(database.db)
      .catch(() => undefined);
    await harness.makeDue('cards');
    await harness.renew('cards');
    await eventually(
      'generation 2',
      async () => (await reader.read('cards', shop)).generation === 2,
    );
    await eventually('memory again', async () => {
      await reader.read('cards', shop);
      return outcomes.at(-1) === 'memory';
    });
    expect((await reader.read('cards', shop)).generation).toBe(2);
    await reader.close();
  });

  test('returns a valid token while PostgreSQL is unavailable, even if the row may have changed', async ({
    openTokenHarness,
    databaseUrl,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const own = await openDatabase({ url: databaseUrl, poolSizeMax: 2 });
    const outcomes: string[] = [];
    const lost: UnrecordedReads[] = [];
    const reader = createAccessTokenReader({
      ...harness.dependencies,
      db: own.db,
      isSubscribed: () => false,
      onRead: (outcome) => outcomes.push(outcome),
      onUnrecorded: (unrecorded, _, isLost) => isLost && lost.push(...unrecorded),
    });
    const before = await reader.read('cards', shop);
    await reader.close();
    await own.close();
    // Nor is it dropped because it may have changed: PostgreSQL can't say whether it has.
    reader.onSubscribed();
    reader.onChanged((await harness.row('cards')).id);
    reader.invalidate('cards', before.generation);
    expect(await reader.read('cards', shop)).toMatchObject({ generation: before.generation });
    expect(outcomes).toEqual(['database', 'outage']);
    // Which backend got it is reported.
    await reader.close();
    expect(lost).toMatchObject([{ generation: before.generation, actor: shop, reads: 1 }]);
  });

  test('waits only when the token has expired, and all readers wait for the same renewal', async ({
    openTokenHarness,
    databaseUrl,
    database,
  }) => {
    const harness = await openTokenHarness();
    const { reader, outcomes } = await withReader(harness, databaseUrl);
    await harness.makeDue('cards');
    await harness.expire('cards');
    const late = createAccessTokenReader({ ...harness.dependencies, isSubscribed: () => false });
    outcomes.length = 0;
    const reads = Array.from({ length: 50 }, async () => await late.read('cards', shop));
    const asked = await eventually('a renewal was asked for', async () => {
      const rows = await database.db.selectFrom('outbox').select(['job_name', 'payload']).execute();
      const ofPresent = rows.filter(({ payload }) => payload['generation'] === 1);
      return ofPresent.length > 0 && ofPresent;
    });
    expect(asked).toMatchObject([{ job_name: 'access-token.refresh' }]);
    await harness.renew('cards');
    const tokens = await Promise.all(reads);
    expect(new Set(tokens.map(({ generation }) => generation))).toEqual(new Set([2]));
    expect(harness.sandbox.state().calls['oauth-refresh']).toBe(1);
    await late.close();
    await reader.close();
  });

  test('gets a retryable error after its wait, and at once if no renewal can begin during that wait', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await holdDueToken(harness, 'cards', 'app-1');
    await harness.expire('cards');
    const patient = createAccessTokenReader({
      ...harness.dependencies,
      isSubscribed: () => false,
      waitMsMax: 150,
    });
    await expect(patient.read('cards', shop)).rejects.toMatchObject({
      code: 'access_token_unavailable',
    });
    harness.sandbox.setFaults({ refreshRejectRate: 1, createRejectRate: 1 });
    expect(await harness.renew('cards')).toBe('suspended');
    const endless = createAccessTokenReader({
      ...harness.dependencies,
      isSubscribed: () => false,
      waitMsMax: 3_600_000 / 4,
    });
    await expect(endless.read('cards', shop)).rejects.toMatchObject({
      code: 'access_token_unavailable',
    });
    await expect(endless.read('unheard-of', shop)).rejects.toMatchObject({
      code: 'credential_not_found',
    });
  });
});

describe('a report of a refused token', () => {
  test('brings its renewal forward once, and is ignored for an older generation', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const { id } = await harness.row('cards');
    await sql`update access_token set issued_at = issued_at - interval '5 minutes' where id = ${id}`.execute(
      harness.dependencies.db,
    );
    const report = async (generation: number) =>
      await reportInvalidToken(harness.dependencies, 'cards', generation, shop);
    expect(await report(0)).toBe('ignored');
    expect(await report(1)).toBe('renewal_brought_forward');
    expect(await report(1)).toBe('ignored');
    expect(await harness.renew('cards', { generation: 1 })).toBe('refreshed');
    expect(await report(1)).toBe('ignored');
    expect(await harness.events('cards')).toEqual([
      'registered',
      'issue_intent',
      'issued',
      'reported_invalid',
      'refresh_intent',
      'refreshed',
    ]);
  });

  test('that a backend repeats many times causes one renewal', async ({ openTokenHarness }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    const results: string[] = [];
    for (let loop = 0; loop < 50; loop += 1) {
      const { generation } = await harness.row('cards');
      results.push(await reportInvalidToken(harness.dependencies, 'cards', generation, shop));
      expect(await harness.renew('cards', { generation })).toBe('too_soon');
    }
    // One audit row and one job for the generation; the reports that follow do not delay the job.
    expect(results.filter((result) => result !== 'ignored')).toEqual(['renewal_brought_forward']);
    expect(await harness.events('cards')).toEqual([
      'registered',
      'issue_intent',
      'issued',
      'reported_invalid',
    ]);
    expect(harness.sandbox.state().calls).toMatchObject({ 'oauth-create': 1, 'oauth-refresh': 0 });
  });

  test('leads to a renewal within a minute although the clock of the database was set back', async ({
    openTokenHarness,
  }) => {
    const harness = await openTokenHarness();
    await harness.add('cards', 'app-1');
    await harness.renew('cards');
    await harness.pass('cards', -3_600_000);
    expect(await reportInvalidToken(harness.dependencies, 'cards', 1, shop)).toBe(
      'renewal_brought_forward',
    );
    expect(await reportInvalidToken(harness.dependencies, 'cards', 1, shop)).toBe('ignored');
    const { due_at: dueAt, read_at: now } = await harness.row('cards');
    expect((dueAt?.getTime() ?? Infinity) - now.getTime()).toBeLessThanOrEqual(60_000);
    await harness.pass('cards', 60_000);
    expect(await harness.renew('cards')).toBe('refreshed');
  });
});

test('reads during a renewal do not disturb it, and the read audit records them', async ({
  openTokenHarness,
  databaseUrl,
  database,
}) => {
  const harness = await openTokenHarness({
    wrapGateway: (gateway) => ({
      ...gateway,
      refreshAccessToken: async (...call) => {
        const other = createAccessTokenReader({
          ...harness.dependencies,
          isSubscribed: () => false,
        });
        await other.read('cards', { type: 'backend', id: 'during' });
        await other.close();
        return await gateway.refreshAccessToken(...call);
      },
    }),
  });
  const { reader } = await withReader(harness, databaseUrl);
  for (let reads = 0; reads < 10; reads += 1) {
    await reader.read('cards', { type: 'backend', id: 'till' });
  }
  await reader.close();
  await harness.makeDue('cards');
  expect(await harness.renew('cards')).toBe('refreshed');

  const { id } = await harness.row('cards');
  const rows = await database.db
    .selectFrom('access_token_read')
    .select(['access_token_id', 'actor_type', 'actor_id', 'credential', 'generation'])
    .select(sql<number>`sum(reads)::integer`.as('reads'))
    .where('actor_id', 'in', ['till', 'during'])
    .groupBy(['access_token_id', 'actor_type', 'actor_id', 'credential', 'generation'])
    .orderBy('actor_id')
    .execute();
  const ofCards = {
    access_token_id: id,
    actor_type: 'backend',
    credential: 'cards',
    generation: 1,
  };
  expect(rows).toEqual([
    { ...ofCards, actor_id: 'during', reads: 1 },
    { ...ofCards, actor_id: 'till', reads: 10 },
  ]);
});

test('a worker commits a renewal even if the row changes during each of its tries', async ({
  openTokenHarness,
}) => {
  const harness = await openTokenHarness();
  await holdDueToken(harness, 'cards', 'app-1');
  const { door } = harness.dependencies;
  let changesLeft = 50;
  const busyDoor: TransitionDoor = {
    ...door,
    async apply(request) {
      if (request.event === 'access_token.refreshed' && changesLeft > 0) {
        changesLeft -= 1;
        await door.apply({
          entity: 'access_token',
          row: await harness.row('cards'),
          event: 'access_token.alarmed',
          audit: { actor: shop, detail: { generation: 1 } },
        });
      }
      return await door.apply(request);
    },
  };
  expect(await harness.renew('cards', { as: { door: busyDoor } })).toBe('refreshed');
  expect(changesLeft).toBe(0);
});
