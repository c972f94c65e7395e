import { createHmac } from 'node:crypto';
import type { Secret } from '../security/secret.ts';

/** What a Standard Webhooks signature covers: the event's id, the attempt's time in whole seconds, and the body. */
export interface SignedContent {
  readonly id: string;
  readonly timestampSeconds: number;
  readonly body: string;
}

/**
 * The headers of Standard Webhooks 1.0.0 (standardwebhooks.com). Every secret signs, so a receiver that holds any of them can
 * verify, and a rotation needs no moment at which both sides change at once. A secret is `whsec_` and base64.
 */
export function webhookHeaders(
  { id, timestampSeconds, body }: SignedContent,
  secrets: readonly Secret[],
): Readonly<Record<string, string>> {
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.reveal().replace(/^whsec_/, ''), 'base64');
    const signed = `${id}.${timestampSeconds}.${body}`;
    return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
  };
}
