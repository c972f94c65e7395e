import type { Answer } from './answer.ts';

/** What is asked of the gateway, and for whom. */
export interface SharedQuestion {
  /** Names what is asked: equal names have one answer. */
  readonly name: string;
  /** When the message came that makes us ask, on the database's clock. */
  readonly since: Date;
  /** The database's clock. */
  readonly now: Date;
}

/** An answer and when it was asked for, or how long to wait until it may be asked for again; milliseconds. */
export type SharedAnswer =
  | { readonly answer: Answer; readonly askedAt: Date }
  | { readonly waitMs: number };

/** Answers of the gateway that many messages share. */
export interface CoalescedQueries {
  readonly ask: (question: SharedQuestion, ask: () => Promise<Answer>) => Promise<SharedAnswer>;
}

interface Asked {
  readonly at: Date;
  readonly answer: Promise<Answer>;
}

/**
 * Anybody may send a browser here with a made-up result, so what strangers say must not become one query each. The gateway's
 * answer counts for every message that came before it was asked, and the same question is asked once in `spacingMs` by
 * one process; messages that come in between wait, and are then answered together.
 */
export function createCoalescedQueries(spacingMs = 30_000): CoalescedQueries {
  const asked = new Map<string, Asked>();

  function forgetBefore(now: Date): void {
    for (const [name, { at }] of asked) {
      if (now.getTime() - at.getTime() < spacingMs) return;
      asked.delete(name);
    }
  }

  return {
    async ask({ name, since, now }, ask) {
      forgetBefore(now);
      const last = asked.get(name);
      if (last !== undefined && last.at >= since) {
        return { answer: await last.answer, askedAt: last.at };
      }
      if (last !== undefined) return { waitMs: spacingMs - (now.getTime() - last.at.getTime()) };
      const answer = ask();
      asked.set(name, { at: now, answer });
      // A question that could not be put is no answer for the others.
      answer.catch(() => asked.delete(name));
      return { answer: await answer, askedAt: now };
    },
  };
}
