import type { SoakPhase } from './access-token-soak.ts';

/** Every network fault at once, on both sides of the effect: half of all calls fail. Workers are killed besides. */
export const flakyGateway: SoakPhase = {
  name: 'half of all calls fail, workers die',
  virtualMinutes: 60,
  isKilling: true,
  faults: {
    errorRate5xx: 0.15,
    errorAfterEffectRate: 0.1,
    resetBeforeEffectRate: 0.1,
    resetAfterEffectRate: 0.1,
    hangRate: 0.05,
    hangAfterEffectRate: 0.05,
  },
};

/** Nothing but 5xx, for as long as the worker promises to hold out. */
export const storm: SoakPhase = {
  name: '5xx storm',
  virtualMinutes: 45,
  faults: { errorRate5xx: 1 },
};

/** A gateway without faults. */
export const calm: SoakPhase = { name: 'calm', virtualMinutes: 15, faults: {} };

/** Whether no reply is lost and nobody is killed in this phase, so that every pair of the gateway has to become a generation. */
export function isCalm({ faults, isKilling }: SoakPhase): boolean {
  return isKilling !== true && Object.keys(faults).length === 0;
}

/** One round of everything that the protocol leaves open and everything that a network does. */
export const soakRound: readonly SoakPhase[] = [
  calm,
  storm,
  calm,
  flakyGateway,
  {
    name: 'refreshes are rejected, nothing rotates',
    virtualMinutes: 30,
    faults: { refreshRejectRate: 0.5, refreshRotates: false },
  },
  {
    name: 'old tokens die at once',
    virtualMinutes: 30,
    isRevoking: true,
    faults: { oldAccessTokenDies: true, createInvalidates: true, refreshRejectRate: 0.2 },
  },
  // What was revoked before is reported and renewed.
  { ...calm, name: 'calm again', isRevoking: true },
  storm,
];
