import { createHmac } from 'node:crypto';
import type { Secret } from '../security/secret.ts';

/** The content that a Standard Webhooks signature covers. */
export interface SignedContent {
  /** The id of the event. */
  readonly id: string;
  /** The time of the attempt. */
  readonly timestampSeconds: number;
  readonly body: string;
}

/**
 * The headers of Standard Webhooks 1.0.0 (standardwebhooks.com). Every secret (`whsec_` and base64)
 * signs, so a receiver with any one of them can verify, and the two sides need not rotate at once.
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
