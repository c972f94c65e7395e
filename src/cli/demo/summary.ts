import type { App } from '../../app.ts';
import { countAuditEvents, findAuditBreaks } from '../../db/audit.ts';
import { countCallbacks } from '../../db/callbacks.ts';
import { listDeliveries } from '../../db/deliveries.ts';
import { listDeadLetters } from '../../db/dead-letters.ts';
import { findStates } from '../../db/tokenizations.ts';
import { type DemoEnvironment, tokenGeneration } from './demo-environment.ts';
import type { Lifecycle } from './lifecycle.ts';

/** The result of the demo. */
export interface Summary {
  /** The one JSON line. */
  readonly line: Readonly<Record<string, string | number>>;
  readonly isGood: boolean;
}

/** Compares every lifecycle with its expected state, checks the audit trail, and prints a table. */
export async function summarise(
  environment: DemoEnvironment,
  app: App,
  lifecycles: readonly Lifecycle[],
  durationMs: number,
): Promise<Summary> {
  const { db } = app.operations;
  const ids = lifecycles.map(({ tokenizationId }) => tokenizationId);
  const states = await findStates(db, ids);
  const unexpected = lifecycles.filter(
    ({ tokenizationId, scenario }) => states.get(tokenizationId) !== scenario.expected,
  );
  printTable(lifecycles, states);
  const breaks = await findAuditBreaks(db);
  const callbacks = await countCallbacks(db, ids);
  const accessTokenGeneration = await tokenGeneration(environment, app.operations);
  const count = (state: string): number =>
    [...states.values()].filter((candidate) => candidate === state).length;
  const line = {
    tokens: lifecycles.length,
    active: count('active'),
    failed: count('failed'),
    expired: count('expired'),
    unexpected: unexpected.length,
    callbacksAccepted: callbacks['accepted'] ?? 0,
    callbacksRejected: callbacks['rejected'] ?? 0,
    callbacksRepeated: callbacks['repeated'] ?? 0,
    webhooksDelivered: environment.backend.eventCount(),
    webhooksFailed: (await listDeliveries(db, 'failed', 1_000)).length,
    accessTokenGeneration,
    auditRows: await countAuditEvents(db),
    auditBreaks: breaks.length,
    deadLetters: (await listDeadLetters(db, 1_000)).length,
    queues: app.backend.kind,
    seconds: Number((durationMs / 1_000).toFixed(1)),
  };
  return {
    line,
    isGood: unexpected.length === 0 && breaks.length === 0 && accessTokenGeneration >= 2,
  };
}

function printTable(lifecycles: readonly Lifecycle[], states: ReadonlyMap<string, string>): void {
  const rows = new Map<string, { lifecycles: number; expected: string; 'as expected': number }>();
  for (const { tokenizationId, scenario } of lifecycles) {
    const row = rows.get(scenario.name) ?? {
      lifecycles: 0,
      expected: scenario.expected,
      'as expected': 0,
    };
    row.lifecycles += 1;
    if (states.get(tokenizationId) === scenario.expected) row['as expected'] += 1;
    rows.set(scenario.name, row);
  }
  console.table(Object.fromEntries(rows));
}
