import type { Transition } from './transition.ts';

/** The states of a failed job: it waits for an operator, or is back on its queue. */
export type DeadLetterState = 'dead' | 'redriven';

/** Every change of a dead letter. */
export const deadLetterTransitions = [
  { event: 'dead_letter.buried', from: [null], to: 'dead' },
  { event: 'dead_letter.redriven', from: ['dead'], to: 'redriven' },
] as const satisfies readonly Transition<DeadLetterState, string>[];

/** An event of a dead letter, which is also the `event` of its audit row. */
export type DeadLetterEvent = (typeof deadLetterTransitions)[number]['event'];
