import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import { findAuditBreaks } from '../../src/db/audit.ts';
import { findStates } from '../../src/db/tokenizations.ts';
import type { TransitionDoor } from '../../src/db/transition-door.ts';
import { type TokenizationState, tokenizationTransitions } from '../../src/domain/tokenization.ts';
import { nextState } from '../../src/domain/transition.ts';
import { addCredential, addTokenization, testActor } from '../support/builders.ts';
import { test } from '../support/harness/fixtures.ts';

type Event = (typeof tokenizationTransitions)[number]['event'];

/**
 * One change that a job asks for, decided on the current version of an entity or on an outdated
 * one.
 */
interface Step {
  readonly entity: number;
  readonly event: Event;
  readonly isStale: boolean;
}

const entities = 6;
const steps: fc.Arbitrary<Step> = fc.record({
  entity: fc.nat(entities - 1),
  event: fc.constantFrom(...new Set(tokenizationTransitions.map(({ event }): Event => event))),
  isStale: fc.boolean(),
});

/** The steps of one turn run concurrently. */
const histories = fc.array(fc.array(steps, { minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 12,
});

/** The rows that the door should write, and its expected answer to each change. */
class Model {
  readonly rows = new Map<string, { state: TokenizationState; version: number }>();

  ask(id: string, event: Event, seen: { state: TokenizationState; version: number }): string {
    const to = nextState(tokenizationTransitions, seen.state, event);
    if (to === undefined) return 'forbidden';
    const row = this.rows.get(id);
    if (row?.version !== seen.version || row.state !== seen.state) return 'stale';
    this.rows.set(id, { state: to, version: row.version + 1 });
    return 'applied';
  }
}

test('random concurrent changes end as the model says, and the audit trail has no gap', async ({
  database,
  door,
}) => {
  const credentialId = await addCredential(door);
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const model = new Model();
      const ids = Array.from({ length: entities }, () => randomUUID());
      await Promise.all(
        ids.map(async (id) => {
          await addTokenization(door, credentialId, id);
          model.rows.set(id, { state: 'requested', version: 1 });
        }),
      );
      for (const turn of history) {
        // Every step of a turn reads before the first one writes.
        const seen = new Map([...model.rows].map(([id, row]) => [id, { ...row }]));
        const asked = turn.map(({ entity, event, isStale }) => {
          const id = ids[entity] ?? '';
          const row = seen.get(id) ?? { state: 'requested', version: 1 };
          return { id, event, row: isStale ? { ...row, version: row.version + 1 } : row };
        });
        const answers = await Promise.all(asked.map(async (step) => await ask(door, step)));
        expect(answers).toEqual(asked.map(({ id, event, row }) => model.ask(id, event, row)));
      }
      const states = await findStates(database.db, ids);
      expect(Object.fromEntries(states)).toEqual(
        Object.fromEntries([...model.rows].map(([id, { state }]) => [id, state])),
      );
    }),
    { numRuns: 60 },
  );
  expect(await findAuditBreaks(database.db)).toEqual([]);
});

async function ask(
  door: TransitionDoor,
  {
    id,
    event,
    row,
  }: { id: string; event: Event; row: { state: TokenizationState; version: number } },
): Promise<string> {
  try {
    const outcome = await door.apply({
      entity: 'tokenization',
      row: { id, ...row },
      event,
      audit: { actor: testActor },
    });
    return outcome.isApplied ? 'applied' : 'stale';
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'state_forbids')
      return 'forbidden';
    throw error;
  }
}
