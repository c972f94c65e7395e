import type { FastifyReply } from 'fastify';
import type { SandboxContext } from '../sandbox-context.ts';
import type { NetworkFaultKind } from '../sandbox-event.ts';
import { deriveRandom, drawFraction } from '../seeded-random.ts';
import type { FaultSwitches, GatewayEndpoint } from '../fault-switches.ts';

/** A network fault that hits a call before or after its effect. */
export interface NetworkFault {
  readonly kind: NetworkFaultKind;
  readonly isAfterEffect: boolean;
}

/** The faults in the order of their draws; the first hit wins. */
const faultsByRate = [
  ['resetBeforeEffectRate', { kind: 'reset', isAfterEffect: false }],
  ['resetAfterEffectRate', { kind: 'reset', isAfterEffect: true }],
  ['hangRate', { kind: 'hang', isAfterEffect: false }],
  ['hangAfterEffectRate', { kind: 'hang', isAfterEffect: true }],
  ['errorRate5xx', { kind: 'error', isAfterEffect: false }],
  ['errorAfterEffectRate', { kind: 'error', isAfterEffect: true }],
] as const satisfies readonly (readonly [keyof FaultSwitches, NetworkFault])[];

/**
 * Draws the network fault of one call. Each rate has its own random stream, so changing one rate
 * does not change the draws of another.
 */
export function drawNetworkFault(
  { seed, faults }: SandboxContext,
  endpoint: GatewayEndpoint,
  key: string,
  attempt: number,
): NetworkFault | undefined {
  if (!faults.faultEndpoints.includes(endpoint)) return undefined;
  if (faults.faultAttemptsMax !== null && attempt > faults.faultAttemptsMax) return undefined;
  const hit = faultsByRate.find(([rate]) => {
    const random = deriveRandom(seed, 'strike', rate, endpoint, key, String(attempt));
    return drawFraction(random) < faults[rate];
  });
  return hit?.[1];
}

/**
 * Shows the fault to the caller. A hanging connection stays open until the caller or the sandbox
 * closes it.
 */
export async function sendNetworkFault(
  reply: FastifyReply,
  fault: NetworkFault,
): Promise<FastifyReply> {
  switch (fault.kind) {
    case 'error': {
      const status = fault.isAfterEffect ? 502 : 503;
      return reply.code(status).type('text/html').send(`<h1>${status}</h1>\n`);
    }
    case 'reset':
      reply.hijack();
      reply.raw.socket?.resetAndDestroy();
      return reply;
    case 'hang':
      return reply.hijack();
  }
}
