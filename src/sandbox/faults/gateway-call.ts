import type { FastifyReply } from 'fastify';
import { type Strike, findStrike, strikeCaller } from './network-fault.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { Endpoint } from '../sandbox-event.ts';

/** One call of the gateway's API. */
export interface Call {
  readonly endpoint: Endpoint;
  /** What faults are drawn by: the merchant reference or the application. */
  readonly key: string;
  /** Changes the state and gives the answer's JSON. */
  readonly effect: () => object;
  /** A fault that this call meets whatever the switches say. */
  readonly findStrikeOfItsOwn?: (attempt: number) => Strike | undefined;
}

/**
 * Answers a call, with the network faults around its effect. HTTP is 200 whenever the gateway itself answers: its status only
 * tells that a request was delivered, the code in the body decides.
 */
export async function exchange(
  context: SandboxContext,
  reply: FastifyReply,
  call: Call,
): Promise<FastifyReply> {
  const { endpoint, key } = call;
  const attempt = countCall(context, endpoint, key);
  const strike = findStrike(context, endpoint, key, attempt) ?? call.findStrikeOfItsOwn?.(attempt);
  const { latencyMs, faultEndpoints } = context.faults;
  if (latencyMs > 0 && faultEndpoints.includes(endpoint)) {
    const isStillOpen = await context.agenda.wait(latencyMs);
    if (!isStillOpen) return strikeCaller(reply, { kind: 'reset', isAfterEffect: false });
  }
  context.options.onEvent({
    type: 'call',
    endpoint,
    key,
    attempt,
    strike: strike?.kind ?? null,
    isAfterEffect: strike?.isAfterEffect ?? false,
  });
  if (strike?.isAfterEffect === false) return strikeCaller(reply, strike);
  const answer = call.effect();
  if (strike !== undefined) return strikeCaller(reply, strike);
  return reply.header('cache-control', 'no-store').send(answer);
}

function countCall(context: SandboxContext, endpoint: Endpoint, key: string): number {
  context.calls.set(endpoint, (context.calls.get(endpoint) ?? 0) + 1);
  const name = JSON.stringify([endpoint, key]);
  const attempt = (context.attempts.get(name) ?? 0) + 1;
  context.attempts.set(name, attempt);
  return attempt;
}
