import { type Creation, isUndecided } from '../creation/creation.ts';
import { schedulePushes } from '../push/delivery.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { CustomerDecision } from '../sandbox-event.ts';

/**
 * Records the customer's decision and schedules its pushes. The first approval or refusal is final:
 * a later decision changes nothing and sends no push. A customer who left may come back and decide.
 */
export function recordDecision(
  context: SandboxContext,
  creation: Creation,
  decision: CustomerDecision,
): void {
  if (!isUndecided(creation)) return;
  if (decision === 'abandon') creation.status = 'abandoned';
  else {
    creation.status = decision === 'approve' ? 'approved' : 'declined';
    creation.decidedAtMs = Date.now();
  }
  const { orderReferenceId, merchantReferenceId } = creation;
  context.options.onEvent({ type: 'decision', orderReferenceId, merchantReferenceId, decision });
  schedulePushes(context, creation);
}
