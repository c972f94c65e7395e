import { z } from 'zod';
import type { Transition } from './transition.ts';

/**
 * What an API key may do: enqueue work, read tokenizations, reveal secrets (QuickPay IDs, access
 * tokens, OPCCOUNT credentials), and operate on tokens and dead letters.
 */
export const apiScopes = ['enqueue', 'read', 'reveal', 'operate'] as const;

/** One permission of an API key. */
export type ApiScope = (typeof apiScopes)[number];

/** The name of an API key. Audit rows name it as the actor of the requests made with it. */
export const apiKeyName = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,31}$/);

/** The states of a stored API key. */
export type ApiKeyState = 'active' | 'revoked';

/**
 * What can happen to an API key. A name is never reused, so an operator rotates a key by adding
 * another one.
 */
export const apiKeyTransitions = [
  { event: 'api_key.added', from: [null], to: 'active' },
  { event: 'api_key.revoked', from: ['active'], to: 'revoked' },
] as const satisfies readonly Transition<ApiKeyState, string>[];

/** An event of an API key, which is also the `event` of its audit row. */
export type ApiKeyEvent = (typeof apiKeyTransitions)[number]['event'];

/** Whether a text names a scope. */
export function isApiScope(text: string): text is ApiScope {
  return (apiScopes as readonly string[]).includes(text);
}
