import { z } from 'zod';
import type { Transition } from './transition.ts';

/** The three families of credentials that Oceanpayment issues. */
export const credentialFamilies = ['accept_payments', 'opcard', 'opccount'] as const;

/** A family of gateway credentials. */
export type CredentialFamily = (typeof credentialFamilies)[number];

/** The states of a stored credential. */
export type CredentialState = 'active' | 'removed';

/** What can happen to a credential. */
export const credentialTransitions = [
  { event: 'credential.added', from: [null], to: 'active' },
  { event: 'credential.rotated', from: ['active'], to: 'same' },
  // The same content is sealed with another encryption key, or environment variables manage it now.
  { event: 'credential.resealed', from: ['active'], to: 'same' },
  // An operator takes over a credential that environment variables managed; commands manage it from
  // now on.
  { event: 'credential.released', from: ['active'], to: 'same' },
  // A backend gets an OPCCOUNT credential to sign its calls with.
  { event: 'credential.revealed', from: ['active'], to: 'same' },
  { event: 'credential.removed', from: ['active'], to: 'removed' },
  // An operator, or a start of the worker, stores a credential under the name of a removed one.
  { event: 'credential.restored', from: ['removed'], to: 'active' },
] as const satisfies readonly Transition<CredentialState, string>[];

/** An event of a credential, which is also the `event` of its audit row. */
export type CredentialEvent = (typeof credentialTransitions)[number]['event'];

/** The environments of the gateway that a credential may belong to. */
export const credentialEnvironments = ['sandbox', 'production'] as const;

/** An environment of the gateway. */
export type CredentialEnvironment = (typeof credentialEnvironments)[number];

/** What manages a credential: the worker's environment variables, or commands. */
export type CredentialManager = 'environment' | 'command';

const text = (lengthMax: number) => z.string().min(1).max(lengthMax);

/** The content of each family. Everything but account and terminal is sealed. */
export const credentialContent = {
  accept_payments: z.strictObject({
    account: z.string().regex(/^\d{6}$/),
    terminal: z.string().regex(/^\d{8,12}$/),
    secureCode: text(64),
    secureCodePrevious: text(64).optional(),
    publicKey: text(8_192).optional(),
  }),
  opcard: z.strictObject({ appKey: text(256), appSecret: text(1_024) }),
  // A JSON number cannot hold 19 digits, so `vaCode` is a string.
  opccount: z.strictObject({ number: text(64), vaCode: text(64), privateKey: text(16_384) }),
} as const satisfies Readonly<Record<CredentialFamily, z.ZodType>>;

/** The sealed fields of the former secure codes of an overlap, the latest first. */
export const formerCodeFields = [
  'secureCodePrevious',
  'secureCodePrevious2',
  'secureCodePrevious3',
  'secureCodePrevious4',
  'secureCodePrevious5',
] as const;

/**
 * The fields that a rotation may replace. Account, terminal and app key identify the credential.
 */
export const credentialRotation = {
  accept_payments: z.strictObject({
    secureCode: text(64).optional(),
    publicKey: text(8_192).optional(),
  }),
  opcard: z.strictObject({ appSecret: text(1_024) }),
  opccount: z.strictObject({ vaCode: text(64).optional(), privateKey: text(16_384).optional() }),
} as const satisfies Readonly<Record<CredentialFamily, z.ZodType>>;
