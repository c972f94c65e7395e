import type { Agenda } from '../task-scheduler.ts';
import type { Creation, Push, PushAttempt } from '../creation/creation.ts';
import { encodePush } from './body.ts';
import { type PushMessage, firstPushDelayMs, planPushes } from './plan.ts';
import { pushDateTime } from './date-time.ts';
import type { SandboxContext } from '../sandbox-context.ts';

/** How long the merchant may take to answer a push; the gateway's own limit is not public. */
const answerTimeoutMs = 5_000;
const acknowledgement = 'receive-ok';

interface Delivery {
  readonly context: SandboxContext;
  /** The agenda at the time of the decision: after a reset a delivery of the old state does nothing more. */
  readonly agenda: Agenda;
  readonly creation: Creation;
  readonly message: PushMessage;
  readonly push: Push;
  readonly firstAtMs: number;
}

/** Starts the pushes that follow a decision. First attempts go out one after another, in the planned order. */
export function announce(context: SandboxContext, creation: Creation): void {
  if (creation.notifyUrl === '') return;
  const messages = planPushes(context, creation);
  if (messages.length === 0) return;
  const { agenda } = context;
  agenda.after(firstPushDelayMs(context, creation), async () => {
    for (const message of messages) {
      const push: Push = { kind: message.kind, attempts: [] };
      creation.pushes.push(push);
      await deliver({ context, agenda, creation, message, push, firstAtMs: Date.now() });
    }
  });
}

/** Makes one attempt and, unless it was acknowledged, puts the next one on the agenda. */
async function deliver(delivery: Delivery): Promise<void> {
  const { context, agenda, creation, message, push, firstAtMs } = delivery;
  const attempt = await attemptPush(delivery);
  if (agenda.signal.aborted) return;
  push.attempts.push(attempt);
  const { orderReferenceId, merchantReferenceId } = creation;
  context.options.onEvent({
    type: 'push',
    orderReferenceId,
    merchantReferenceId,
    kind: push.kind,
    attempt: push.attempts.length,
    httpStatus: attempt.httpStatus,
    isAcknowledged: attempt.isAcknowledged,
  });
  if (attempt.isAcknowledged || push.attempts.length >= message.attemptsMax) return;
  const schedule = context.options.pushScheduleMs;
  const dueAfterMs = (schedule[push.attempts.length] ?? 0) - (schedule[0] ?? 0);
  const delayMs = Math.max(0, firstAtMs + dueAfterMs - Date.now());
  agenda.after(delayMs, () => deliver(delivery));
}

async function attemptPush(delivery: Delivery): Promise<PushAttempt> {
  const { context, agenda, creation, message } = delivery;
  const nowMs = Date.now();
  const sentAt = pushDateTime(creation, nowMs);
  const fields = [['push_dateTime', sentAt] as const, ...message.fields];
  const { contentType, text } = encodePush(fields, context.faults.pushFormat);
  const base = { at: new Date(nowMs).toISOString(), pushDateTime: sentAt };
  try {
    const response = await fetch(creation.notifyUrl, {
      method: 'POST',
      headers: { 'content-type': contentType },
      body: text,
      redirect: 'manual',
      signal: AbortSignal.any([agenda.signal, AbortSignal.timeout(answerTimeoutMs)]),
    });
    const answer = (await response.text()).slice(0, 200);
    const isAcknowledged = response.status === 200 && answer.trim() === acknowledgement;
    return { ...base, httpStatus: response.status, answer, isAcknowledged };
  } catch {
    // Refused, reset, timed out or ended by close: for the gateway all the same, nobody acknowledged.
    return { ...base, httpStatus: null, answer: '', isAcknowledged: false };
  }
}
