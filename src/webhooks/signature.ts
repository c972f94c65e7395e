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
 * The headers of Standard Webhooks 1.0.0 (standardwebhooks.com). The worker signs with every secret
 * (`whsec_` and base64). A receiver that knows one of them can verify, so worker and receiver need
 * not rotate at the same time.
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
