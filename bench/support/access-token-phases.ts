import type { SoakPhase } from './access-token-soak.ts';

/** Half of all calls fail, before or after their effect at the gateway, and workers are killed. */
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

/** Only 5xx, for the longest outage that no reader may notice. */
export const storm: SoakPhase = {
  name: '5xx storm',
  virtualMinutes: 45,
  faults: { errorRate5xx: 1 },
};

/** A gateway without faults. */
export const calm: SoakPhase = { name: 'calm', virtualMinutes: 15, faults: {} };

/** Whether the phase loses no reply and kills no worker: every pair must become a generation. */
export function isCalm({ faults, isKilling }: SoakPhase): boolean {
  return isKilling !== true && Object.keys(faults).length === 0;
}

/** One round of all behaviours that the protocol leaves open and all faults of a network. */
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
  // Readers report the tokens that were revoked before, and workers renew them.
  { ...calm, name: 'calm again', isRevoking: true },
  storm,
];
