import type { KyselyPlugin } from 'kysely';
import type { Db } from '../../../src/db/connection/database.ts';

/** A database whose answers a test can hold back. */
export interface HeldAnswers {
  readonly db: Db;
  /** Holds back every answer from now on. */
  readonly hold: () => void;
  /** Gives all held answers, and every later one without delay. */
  readonly release: () => void;
}

/** Wraps a database so that a test can hold back its answers. At first none is held. */
export function holdAnswersOf(db: Db): HeldAnswers {
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      await gate.promise;
      return result;
    },
  };
  return {
    db: db.withPlugin(plugin),
    hold() {
      gate = Promise.withResolvers<void>();
    },
    release: () => gate.resolve(),
  };
}
