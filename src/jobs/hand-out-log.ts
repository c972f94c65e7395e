import { findAccessTokenById } from '../db/access-tokens.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { applyToPresentRow } from './apply-to-present-row.ts';
import type { OperationDependencies } from './job-dependencies.ts';

/** Writes down who got which access token. */
export interface HandOutLog {
  /** Counts one hand-out; never waits. */
  readonly count: (rowId: string, generation: number, actor: Actor) => void;
  /** Writes down all that is counted. */
  readonly close: () => Promise<void>;
}

interface Counted {
  readonly rowId: string;
  readonly generation: number;
  readonly actor: Actor;
  reads: number;
}

const everyMs = 60_000;
/** Readers and generations that are remembered as written down; beyond that some are written down at once again. */
const firstsMax = 50_000;

/**
 * Audits hand-outs without slowing them: the first one of a generation to a backend is written down at once, further ones are counted and
 * written down once a minute, one audit row per token, generation and backend. A process that is killed loses the count of
 * its last minute; who got which generation is never lost.
 */
export function createHandOutLog({
  db,
  door,
}: Pick<OperationDependencies, 'db' | 'door'>): HandOutLog {
  const counts = new Map<string, Counted>();
  const firsts = new Set<string>();
  let writing: Promise<void> = Promise.resolve();
  const timer = setInterval(writeAll, everyMs);
  timer.unref();

  function writeAll(): void {
    const due = [...counts.values()];
    counts.clear();
    if (due.length > 0) later(due);
  }

  function later(due: readonly Counted[]): void {
    writing = writing.then(async () => {
      await Promise.all(due.map(writeOrKeep));
    });
  }

  /** What can't be written now is counted on and tried again a minute later. */
  async function writeOrKeep(counted: Counted): Promise<void> {
    try {
      await write(counted);
    } catch {
      const key = keyOf(counted);
      const since = counts.get(key);
      if (since === undefined) counts.set(key, counted);
      else since.reads += counted.reads;
    }
  }

  async function write({ rowId, generation, actor, reads }: Counted): Promise<void> {
    await applyToPresentRow(async () => {
      const row = await findAccessTokenById(db, rowId);
      if (row === undefined) return 'row_gone';
      const outcome = await door.apply({
        entity: 'access_token',
        row,
        event: 'access_token.handed_out',
        audit: { actor, detail: { generation, reads } },
      });
      return outcome.isApplied ? 'written' : undefined;
    });
  }

  return {
    count(rowId, generation, actor) {
      const one: Counted = { rowId, generation, actor, reads: 1 };
      const key = keyOf(one);
      if (!firsts.has(key)) {
        if (firsts.size >= firstsMax) firsts.clear();
        firsts.add(key);
        later([one]);
        return;
      }
      const counted = counts.get(key);
      if (counted === undefined) counts.set(key, one);
      else counted.reads += 1;
    },
    async close() {
      clearInterval(timer);
      writeAll();
      await writing;
    },
  };
}

function keyOf({ rowId, generation, actor }: Counted): string {
  return `${rowId} ${generation} ${actor.type} ${actor.id}`;
}
