import type { TransitionOutcome } from '../db/transition-door.ts';
import { done, type Outcome, snooze } from '../execution/define-job.ts';

/** How soon to look again when somebody else changed the row first. */
const overtakenDelayMs = 1_000;

/** What a job's only change comes to: `word`, or another look, because the row that it was decided on is no more. */
export function committed({ isApplied }: TransitionOutcome, word: string): Outcome {
  return isApplied ? done(word) : snooze(overtakenDelayMs, 'overtaken');
}
