import { EventEmitter } from 'node:events';
import pg from 'pg';
import { onTestFinished, vi } from 'vitest';
import { onServer, urlOf } from './services/database.ts';

/** A statement that ran, with the plan that PostgreSQL used and what it read. */
export interface RecordedPlan {
  readonly statement: string;
  readonly reads: readonly TableRead[];
}

/** What one step of a plan read from a table or from its index. */
export interface TableRead {
  /** The kind of the step, with its index and its table. */
  readonly step: string;
  /** Rows that it took, kept or not. */
  readonly rows: number;
  /** How often it ran. */
  readonly loops: number;
  /** Pages of the index and of the table, from memory or from disk. */
  readonly pages: number;
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

/**
 * Records the plan of every statement on a database, whichever pool, trigger or function of this
 * process sends it: PostgreSQL's auto_explain sends each plan back as a message. Connections that
 * are open already are not recorded. The recording ends with the test.
 */
export async function recordPlans(databaseUrl: string): Promise<RecordedPlan[]> {
  const name = new URL(databaseUrl).pathname.slice(1);
  const settings = {
    // At the size of a test PostgreSQL may read a whole table where it would later use an index.
    enable_seqscan: 'off',
    // A table without an index would seem so dear that PostgreSQL compiles its plan.
    jit: 'off',
    session_preload_libraries: 'auto_explain',
    'auto_explain.log_min_duration': '0',
    'auto_explain.log_analyze': 'on',
    'auto_explain.log_buffers': 'on',
    'auto_explain.log_timing': 'off',
    'auto_explain.log_nested_statements': 'on',
    'auto_explain.log_format': 'json',
    // The client gets messages of this level whatever it asks for, and the server's log none.
    'auto_explain.log_level': 'info',
  };
  await onServer(urlOf(databaseUrl, 'postgres'), async (client) => {
    await client.query("load 'auto_explain'");
    for (const [setting, value] of Object.entries(settings)) {
      await client.query(`alter database ${name} set ${setting} = '${value}'`);
    }
  });
  const plans: RecordedPlan[] = [];
  const emitted = vi.spyOn(pg.Client.prototype, 'emit');
  emitted.mockImplementation(function (this: pg.Client, event: string | symbol, ...values) {
    const [notice] = values;
    if (event === 'notice' && isRecord(notice)) {
      const message = String(notice['message']);
      if (message.startsWith('duration:')) plans.push(planOf(message));
    }
    return EventEmitter.prototype.emit.call(this, event, ...values);
  });
  onTestFinished(() => emitted.mockRestore());
  return plans;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function planOf(message: string): RecordedPlan {
  const { 'Query Text': statement, Plan: root } = JSON.parse(message.slice(message.indexOf('{')));
  return {
    statement: statement.replaceAll(/\s+/g, ' ').trim(),
    reads: readsOf(root),
  };
}

function readsOf(node: PlanNode): readonly TableRead[] {
  const { 'Node Type': type, 'Relation Name': relation, 'Index Name': index } = node;
  const names = [index, relation].filter((name) => name !== undefined);
  const loops = node['Actual Loops'];
  const rowsPerLoop =
    node['Actual Rows'] +
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0);
  const own = {
    step: [type, ...names].join(' '),
    rows: rowsPerLoop * loops,
    loops,
    pages: node['Shared Hit Blocks'] + node['Shared Read Blocks'],
  };
  const isScan = type.endsWith('Scan') && names.length > 0;
  return [...(isScan ? [own] : []), ...(node.Plans ?? []).flatMap(readsOf)];
}
