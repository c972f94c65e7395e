import { describe, expect } from 'vitest';
import { entities } from '../../src/db/entities.ts';
import { createTransitionDoor } from '../../src/db/transition-door.ts';
import { findTokenization } from '../../src/db/tokenizations.ts';
import { draftTokenization, storeDraft } from '../../src/tokenization/request/accept.ts';
import { requestPayload, testActor } from '../support/builders.ts';
import { withClient } from '../../src/db/connection/database.ts';
import { databaseUnavailable } from '../../src/db/connection/faults.ts';
import { setAway } from '../support/services/database.ts';
import { hideReferences } from '../support/faults/hidden-references.ts';
import { test } from '../support/harness/harness-test.ts';
import { redirectWithoutPush } from '../support/harness/job-harness.ts';

describe('tokenization.request', () => {
  test('an accepted request waits in state requested', async ({ openJobHarness }) => {
    const { open } = await openJobHarness();
    expect(await open(redirectWithoutPush, false)).toMatchObject({
      state: 'requested',
      version: 1,
    });
  });

  test('a request that its job brings along is stored and sent with two statements of the door', async ({
    openJobHarness,
    database,
  }) => {
    const batches: number[] = [];
    const door = createTransitionDoor(database.db, { onBatch: (size) => batches.push(size) });
    const harness = await openJobHarness();
    const as = { ...harness.dependencies, door };
    const content = requestPayload({ remark: 'sandbox:direct' });
    expect(await harness.run('tokenization.request', content, as)).toBe('active');
    expect(batches).toEqual([1, 1]);
    const [row] = await database.db.selectFrom('tokenization').selectAll().execute();
    expect(row).toMatchObject({ state: 'active', version: 3, attempt: 1 });
    expect(await harness.events(row?.id ?? '')).toEqual([
      'tokenization.requested',
      'tokenization.submitting',
      'tokenization.activated',
    ]);
    expect(await harness.run('tokenization.request', content, as)).toBe('already_taken');
  });

  test('a new row is known without reading it', async ({ openJobHarness }) => {
    const { dependencies } = await openJobHarness();
    const draft = await draftTokenization(dependencies, requestPayload());
    const stored = await storeDraft(dependencies, draft, { audit: { actor: testActor } });
    const read = await findTokenization(dependencies.db, draft.id);
    // The statement reads the clock once for each column.
    const reconcileMs = (read?.reconcile_at?.getTime() ?? 0) - (read?.created_at.getTime() ?? 0);
    expect(Math.abs(reconcileMs - 5_000)).toBeLessThan(1_000);
    const { reconcile_at: _, updated_at: __, created_at: ___, ...columns } = stored ?? {};
    expect(read).toMatchObject(columns);
    expect(Object.keys(columns)).toEqual(
      expect.arrayContaining(
        [...entities.tokenization.columns].filter((c) => c !== 'reconcile_at'),
      ),
    );
  });

  test('the intent is committed before the request is sent', async ({
    openJobHarness,
    database,
  }) => {
    const statesAtSend: string[] = [];
    const { open, events } = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          const rows = await database.db.selectFrom('tokenization').select('state').execute();
          statesAtSend.push(...rows.map(({ state }) => state));
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await open(redirectWithoutPush);
    expect(statesAtSend).toEqual(['submitting']);
    expect((await events(id)).slice(0, 2)).toEqual([
      'tokenization.requested',
      'tokenization.submitting',
    ]);
  });

  test('a reply with a redirect address leaves the request awaiting the customer', async ({
    openJobHarness,
  }) => {
    const { open } = await openJobHarness();
    const row = await open(redirectWithoutPush);
    expect(row).toMatchObject({ state: 'awaiting_customer', version: 3 });
    expect(row.redirect_url).toContain('http');
  });

  test('a reply with status 1 and no redirect address activates the token', async ({
    openJobHarness,
  }) => {
    const { open } = await openJobHarness();
    expect((await open('sandbox:direct')).state).toBe('active');
  });

  test.for(['sandbox:refuse', 'sandbox:direct-failed'])(
    'a refusal or a reply with status 0 fails the request: %s',
    async (remark, { openJobHarness }) => {
      const { open } = await openJobHarness();
      expect((await open(remark)).state).toBe('failed');
    },
  );

  test.for([
    { what: 'a connection reset', faults: { resetAfterEffectRate: 1 } },
    { what: 'a 5xx', faults: { errorAfterEffectRate: 1 } },
    { what: 'a timeout', faults: { hangAfterEffectRate: 1 } },
  ])('after $what the outcome is unknown', async ({ faults }, { openJobHarness }) => {
    const { open } = await openJobHarness({ faults: { ...faults, faultEndpoints: ['create'] } });
    expect((await open(redirectWithoutPush)).state).toBe('submit_unknown');
  });

  test('a query activates a token whose reply was lost', async ({ openJobHarness }) => {
    const harness = await openJobHarness({
      faults: { errorAfterEffectRate: 1, faultEndpoints: ['create'] },
    });
    const { id } = await harness.open('sandbox:direct');
    expect((await harness.row(id)).state).toBe('submit_unknown');
    expect(await harness.confirm(id)).toBe('active');
  });

  test('a query leaves a request alone while its lease holds', async ({ openJobHarness }) => {
    const results: string[] = [];
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          results.push(await harness.confirm(id));
          return await gateway.createQuickPay(...call);
        },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush, false);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(results).toEqual(['lease_held']);
  });

  test('a reply that arrives after its lease expired still counts', async ({ openJobHarness }) => {
    const whileInFlight: { expireLease?: () => Promise<void> } = {};
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...gateway,
        createQuickPay: async (...call) => {
          const reply = await gateway.createQuickPay(...call);
          await whileInFlight.expireLease?.();
          return reply;
        },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush, false);
    whileInFlight.expireLease = async () => {
      await harness.makeDue(id);
      expect(await harness.confirm(id)).toBe('submit_unknown');
    };
    await harness.run('tokenization.request', { tokenizationId: id });
    expect((await harness.row(id)).state).toBe('awaiting_customer');
    expect(await harness.events(id)).toContain('tokenization.outcome_unknown');
  });

  test('a reply that arrives after a resubmission does not count for the new attempt', async ({
    openJobHarness,
  }) => {
    const hidden = new Set<string>();
    let isFirst = true;
    const harness = await openJobHarness({
      wrapGateway: (gateway) => ({
        ...hideReferences(hidden)(gateway),
        createQuickPay: async (...call) => {
          const reply = await gateway.createQuickPay(...call);
          if (!isFirst) return { kind: 'unknown', cause: 'timeout' };
          isFirst = false;
          hidden.add((await harness.row(id)).gateway_reference);
          await harness.makeDue(id);
          for (const _ of ['lease expired', 'first none', 'second none']) {
            await harness.confirm(id);
            await harness.makeDue(id);
          }
          await harness.run('tokenization.request', { tokenizationId: id });
          return reply;
        },
      }),
    });
    const { id } = await harness.open(redirectWithoutPush, false);
    await harness.run('tokenization.request', { tokenizationId: id });
    expect(await harness.row(id)).toMatchObject({ state: 'submit_unknown', attempt: 2 });
  });

  test.for([
    { remark: redirectWithoutPush, faults: {}, state: 'awaiting_customer' },
    { remark: 'sandbox:direct', faults: {}, state: 'active' },
    { remark: 'sandbox:refuse', faults: {}, state: 'failed' },
    { remark: redirectWithoutPush, faults: { errorAfterEffectRate: 1 }, state: 'submit_unknown' },
  ])(
    'a reply that arrives during an outage of the database is committed after it: $state',
    async ({ remark, faults, state }, { openJobHarness, databaseUrl, door }) => {
      let failedCommits = 0;
      const harness = await openJobHarness({
        faults: { ...faults, faultEndpoints: ['create'] },
        wrapGateway: (gateway) => ({
          ...gateway,
          createQuickPay: async (...call) => {
            const reply = await gateway.createQuickPay(...call);
            await setAway(databaseUrl, true);
            return reply;
          },
        }),
      });
      const { id } = await harness.open(remark, false);
      const apply: typeof door.apply = async (change) => {
        try {
          return await door.apply(change);
        } catch (error) {
          failedCommits += 1;
          await setAway(databaseUrl, false);
          throw error;
        }
      };
      const as = { ...harness.dependencies, door: { ...door, apply } };
      expect(await harness.run('tokenization.request', { tokenizationId: id }, as)).toBe(state);
      expect(failedCommits).toBe(1);
      expect(await harness.row(id)).toMatchObject({ state, attempt: 1, version: 3 });
    },
  );

  test('a reply that the database refuses for a temporary reason is stored later', async ({
    openJobHarness,
    databaseUrl,
    door,
  }) => {
    const constraint = `constraint passing check (state <> 'awaiting_customer')`;
    const alterTable = async (change: string): Promise<void> =>
      await withClient(databaseUrl, async (client) => {
        await client.query(`alter table token_lifecycle.tokenization ${change}`);
      });
    const harness = await openJobHarness();
    const { id } = await harness.open(redirectWithoutPush, false);
    await alterTable(`add ${constraint}`);
    const refusals: unknown[] = [];
    const apply: typeof door.apply = async (change) => {
      try {
        return await door.apply(change);
      } catch (error) {
        refusals.push(error);
        await alterTable('drop constraint passing');
        throw error;
      }
    };
    const as = { ...harness.dependencies, door: { ...door, apply } };
    expect(await harness.run('tokenization.request', { tokenizationId: id }, as)).toBe(
      'awaiting_customer',
    );
    expect(refusals).toMatchObject([{ code: 'internal', cause: { code: '23514' } }]);
    expect((await harness.row(id)).redirect_url).toContain('http');
  });

  test('a commit whose reply was lost in an outage is not made twice', async ({
    openJobHarness,
    door,
  }) => {
    let isLost = false;
    const harness = await openJobHarness();
    const { id } = await harness.open(redirectWithoutPush, false);
    const apply: typeof door.apply = async (change) => {
      const outcome = await door.apply(change);
      if (change.event !== 'tokenization.redirect_issued' || isLost) return outcome;
      isLost = true;
      throw databaseUnavailable();
    };
    const as = { ...harness.dependencies, door: { ...door, apply } };
    await harness.run('tokenization.request', { tokenizationId: id }, as);
    expect(isLost).toBe(true);
    expect(await harness.row(id)).toMatchObject({ state: 'awaiting_customer', version: 3 });
  });
});
