import type { FastifyReply } from 'fastify';
import type { FaultSwitches } from '../fault-switches.ts';
import { deriveRandom, drawFraction } from '../seeded-random.ts';
import type { SandboxContext } from '../sandbox-context.ts';
import type { Endpoint, StrikeKind } from '../sandbox-event.ts';

/** A network fault and on which side of the effect it strikes. */
export interface Strike {
  readonly kind: StrikeKind;
  readonly isAfterEffect: boolean;
}

type RateName = Extract<keyof FaultSwitches, `${string}Rate` | 'errorRate5xx'>;

/** In this order; the first rate that hits decides. */
const strikes: readonly (readonly [
  Exclude<RateName, 'refreshRejectRate' | 'createRejectRate'>,
  Strike,
])[] = [
  ['resetBeforeEffectRate', { kind: 'reset', isAfterEffect: false }],
  ['resetAfterEffectRate', { kind: 'reset', isAfterEffect: true }],
  ['hangRate', { kind: 'hang', isAfterEffect: false }],
  ['hangAfterEffectRate', { kind: 'hang', isAfterEffect: true }],
  ['errorRate5xx', { kind: 'error', isAfterEffect: false }],
  ['errorAfterEffectRate', { kind: 'error', isAfterEffect: true }],
];

/** The fault that this call meets, if any. Each switch draws for itself, so turning one does not move the others. */
export function findStrike(
  { seed, faults }: SandboxContext,
  endpoint: Endpoint,
  key: string,
  attempt: number,
): Strike | undefined {
  if (!faults.faultEndpoints.includes(endpoint)) return undefined;
  if (faults.faultAttemptsMax !== null && attempt > faults.faultAttemptsMax) return undefined;
  const hit = strikes.find(([name]) => {
    const random = deriveRandom(seed, 'strike', name, endpoint, key, String(attempt));
    return drawFraction(random) < faults[name];
  });
  return hit?.[1];
}

/** Lets the caller feel the fault. A hanging connection ends with the caller or with the sandbox. */
export async function strikeCaller(reply: FastifyReply, strike: Strike): Promise<FastifyReply> {
  switch (strike.kind) {
    case 'error': {
      const status = strike.isAfterEffect ? 502 : 503;
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
