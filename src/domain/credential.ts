import type { Transition } from './transition.ts';

/** The three families of API keys that Oceanpayment issues. */
export const credentialFamilies = ['accept_payments', 'opcard', 'opccount'] as const;

/** A family of API keys. */
export type CredentialFamily = (typeof credentialFamilies)[number];

/** The states of a stored credential. */
export type CredentialState = 'active' | 'removed';

/** What can happen to a credential. */
export const credentialTransitions = [
  { event: 'credential.added', from: [null], to: 'active' },
  { event: 'credential.rotated', from: ['active'], to: 'same' },
  { event: 'credential.removed', from: ['active'], to: 'removed' },
] as const satisfies readonly Transition<CredentialState, string>[];

/** An event of a credential, which is also the `event` of its audit row. */
export type CredentialEvent = (typeof credentialTransitions)[number]['event'];
