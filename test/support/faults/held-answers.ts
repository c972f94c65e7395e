import type { KyselyPlugin } from 'kysely';
import type { Db } from '../../../src/db/database.ts';

/** A database whose answers the test may hold back. */
export interface HeldAnswers {
  readonly db: Db;
  /** From now on no answer is given before it is released. */
  readonly hold: () => void;
  /** Gives all that is held back, and what follows at once. */
  readonly release: () => void;
}

/** The database with every answer in the test's hand; nothing is held at first. */
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
