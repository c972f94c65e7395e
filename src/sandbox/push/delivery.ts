import type { Creation, Push, PushAttempt } from '../creation/creation.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { TaskScheduler } from '../task-scheduler.ts';
import { encodePush } from './body.ts';
import { nextPushDateTime } from './date-time.ts';
import { type PushMessage, firstPushDelayMs, planPushes } from './plan.ts';

/** Time limit for the merchant's answer to a push. The gateway's own limit is not public. */
const answerTimeoutMs = 5_000;

interface PushDelivery {
  readonly context: SandboxContext;
  /** The scheduler at the time of the decision: a reset closes it and so ends the delivery. */
  readonly scheduler: TaskScheduler;
  readonly creation: Creation;
  readonly message: PushMessage;
  readonly push: Push;
  readonly firstAtMs: number;
}

/** Schedules the pushes of a decision. Their first attempts go out one by one in planned order. */
export function schedulePushes(context: SandboxContext, creation: Creation): void {
  if (creation.notifyUrl === '') return;
  const messages = planPushes(context, creation);
  if (messages.length === 0) return;
  const { scheduler } = context;
  scheduler.schedule(firstPushDelayMs(context, creation), async () => {
    for (const message of messages) {
      const push: Push = { kind: message.kind, attempts: [] };
      creation.pushes.push(push);
      await deliverPush({ context, scheduler, creation, message, push, firstAtMs: Date.now() });
    }
  });
}

/** Makes one attempt. Schedules the next one unless the merchant acknowledged this one. */
async function deliverPush(delivery: PushDelivery): Promise<void> {
  const { context, scheduler, creation, message, push, firstAtMs } = delivery;
  const attempt = await sendPush(delivery);
  if (scheduler.signal.aborted) return;
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
  scheduler.schedule(delayMs, () => deliverPush(delivery));
}

const ownAddress = /(?<=\/notify)\/[\w-]{22}$/;

/** A forger knows the shared route of all pushes, but not the last segment of a per-request URL. */
function urlOf({ notifyUrl }: Creation, { kind }: PushMessage): string {
  return kind === 'forged' ? notifyUrl.replace(ownAddress, '') : notifyUrl;
}

async function sendPush(delivery: PushDelivery): Promise<PushAttempt> {
  const { context, scheduler, creation, message } = delivery;
  const nowMs = Date.now();
  const pushDateTime = nextPushDateTime(creation, nowMs);
  const fields = [['push_dateTime', pushDateTime] as const, ...message.fields];
  const { contentType, content } = encodePush(fields, context.faults.pushFormat);
  const base = { at: new Date(nowMs).toISOString(), pushDateTime };
  try {
    const response = await fetch(urlOf(creation, message), {
      method: 'POST',
      ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      body: content,
      redirect: 'manual',
      signal: AbortSignal.any([scheduler.signal, AbortSignal.timeout(answerTimeoutMs)]),
    });
    const answer = (await response.text()).slice(0, 200);
    const isAcknowledged =
      response.status === 200 && answer.trim() === context.faults.acknowledgement;
    return { ...base, httpStatus: response.status, answer, isAcknowledged };
  } catch {
    // Refused, reset, timed out or aborted: the merchant has not acknowledged the push.
    return { ...base, httpStatus: null, answer: '', isAcknowledged: false };
  }
}
