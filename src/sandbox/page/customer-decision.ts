import { type Creation, isUndecided } from '../creation/creation.ts';
import { announce } from '../push/delivery.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { Decision } from '../sandbox-event.ts';

/**
 * Records what the customer did and starts the pushes that follow. The first approval or refusal is final; after leaving the
 * page a customer may still come back. A repeated decision changes and pushes nothing.
 */
export function decide(context: SandboxContext, creation: Creation, decision: Decision): void {
  if (!isUndecided(creation)) return;
  if (decision === 'abandon') creation.status = 'abandoned';
  else {
    creation.status = decision === 'approve' ? 'approved' : 'declined';
    creation.decidedAtMs = Date.now();
  }
  const { orderReferenceId, merchantReferenceId } = creation;
  context.options.onEvent({ type: 'decision', orderReferenceId, merchantReferenceId, decision });
  announce(context, creation);
}
