import { createCache } from '../cache/cache.ts';
import type { Answer } from './answer.ts';

/** What is asked of the gateway, and because of which message. */
export interface CoalescedQuestion {
  /** Names what is asked: messages with equal names share an answer. */
  readonly name: string;
  /** When the message arrived, on the database's clock. */
  readonly since: Date;
  /** The database's clock. */
  readonly now: Date;
}

/**
 * An answer and when it was asked for, or how many milliseconds to wait until the question may be
 * asked again.
 */
export type CoalescedAnswer =
  | { readonly answer: Answer; readonly askedAt: Date }
  | { readonly waitMs: number };

/** A query that is under way or answered. */
interface CoalescedQuery {
  readonly answer: Promise<Answer>;
  readonly askedAt: Date;
}

/** Queries of the gateway whose answers many messages share. */
export interface CoalescedQueries {
  readonly ask: (
    question: CoalescedQuestion,
    query: () => Promise<Answer>,
  ) => Promise<CoalescedAnswer>;
}

/**
 * Anyone may send a made-up result, so unverified senders must not cause one query each. One
 * process asks the same question at most once in `spacingMs`. An answer counts for the messages
 * that arrived before it was asked for; later ones wait, and then share the next answer.
 */
export function createCoalescedQueries(
  spacingMs = 30_000,
  now: () => number = () => performance.now(),
): CoalescedQueries {
  const cache = createCache<CoalescedQuery>({ now });
  const lifetimes = {
    refreshAfterMs: spacingMs,
    maxStaleMs: spacingMs,
    maxStaleOnErrorMs: spacingMs,
  };
  return {
    async ask({ name, since, now: askedAt }, query) {
      const { value, startedAtMs } = await cache.get(name, async () => {
        const answer = query();
        // A failed query answers no other message, so the next message starts a new query.
        answer.catch(() => cache.delete(name));
        return await Promise.resolve({ value: { answer, askedAt }, ...lifetimes });
      });
      // Returned without waiting for the query: a flood of messages must not occupy the queue.
      if (value.askedAt < since) {
        return { waitMs: Math.ceil(Math.max(0, startedAtMs + spacingMs - now())) };
      }
      return { answer: await value.answer, askedAt: value.askedAt };
    },
  };
}
