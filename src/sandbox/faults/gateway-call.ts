import type { FastifyReply } from 'fastify';
import { answerCodes } from '../answer-codes.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import { type NetworkFault, drawNetworkFault, sendNetworkFault } from './network-fault.ts';
import { sendInEnvelope } from './reply-envelope.ts';
import type { GatewayEndpoint } from '../fault-switches.ts';

/** One call of the gateway's API. */
export interface GatewayCall {
  readonly endpoint: GatewayEndpoint;
  /** Seeds the fault draws: the merchant reference or the app key. */
  readonly key: string;
  /** Changes the state and returns the JSON answer. */
  readonly effect: () => object;
  /** The fault that the call's scenario asks for; fault switches take precedence. */
  readonly findScenarioFault?: (attempt: number) => NetworkFault | undefined;
}

/**
 * Runs a call and injects its network fault before or after the effect. The gateway answers HTTP
 * 200 to every request that reaches it; only the code in the body says whether the call succeeded.
 */
export async function answerGatewayCall(
  context: SandboxContext,
  reply: FastifyReply,
  call: GatewayCall,
): Promise<FastifyReply> {
  const { endpoint, key } = call;
  const attempt = countAttempt(context, endpoint, key);
  const fault =
    drawNetworkFault(context, endpoint, key, attempt) ?? call.findScenarioFault?.(attempt);
  const { latencyMs, faultEndpoints } = context.faults;
  if (latencyMs > 0 && faultEndpoints.includes(endpoint)) {
    const isStillOpen = await context.scheduler.wait(latencyMs);
    if (!isStillOpen) return sendNetworkFault(reply, { kind: 'reset', isAfterEffect: false });
  }
  context.options.onEvent({
    type: 'call',
    endpoint,
    key,
    attempt,
    strike: fault?.kind ?? null,
    isAfterEffect: fault?.isAfterEffect ?? false,
  });
  if (fault?.isAfterEffect === false) return sendNetworkFault(reply, fault);
  const answer = call.effect();
  if (fault !== undefined) return sendNetworkFault(reply, fault);
  reply.header('cache-control', 'no-store');
  return sendInEnvelope(reply, withCode(call, answer, context), context.faults.replyEnvelope);
}

function withCode({ endpoint }: GatewayCall, answer: object, { faults }: SandboxContext): object {
  const isSuccess = 'code' in answer && answer.code === answerCodes.success.code;
  return isSuccess && !endpoint.startsWith('oauth')
    ? { ...answer, code: faults.successCode }
    : answer;
}

/** How many calls this key has made to this endpoint. */
export function attemptCountOf(
  context: SandboxContext,
  endpoint: GatewayEndpoint,
  key: string,
): number {
  return context.attemptCounts.get(attemptName(endpoint, key)) ?? 0;
}

function countAttempt(context: SandboxContext, endpoint: GatewayEndpoint, key: string): number {
  context.callCounts.set(endpoint, (context.callCounts.get(endpoint) ?? 0) + 1);
  const attempt = attemptCountOf(context, endpoint, key) + 1;
  context.attemptCounts.set(attemptName(endpoint, key), attempt);
  return attempt;
}

function attemptName(endpoint: GatewayEndpoint, key: string): string {
  return JSON.stringify([endpoint, key]);
}
