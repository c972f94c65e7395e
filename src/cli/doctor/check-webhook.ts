import type { Config } from '../../config/config.ts';
import { findWebhookEndpoint } from '../../db/deliveries.ts';
import type { Db } from '../../db/connection/database.ts';
import { webhookEndpointId } from '../../delivery/endpoint.ts';
import { createWebhookSender, type UnreachableCause } from '../../webhooks/sender.ts';
import { say } from './say.ts';

const remedies: Readonly<Record<UnreachableCause, string>> = {
  timeout: 'does not answer in time: look at the receiver and the network',
  connection:
    'accepts no connection: look at MERCHANT_WEBHOOK_URL, the certificate and the network',
  address_forbidden:
    'has a private address: give a public one, or set MERCHANT_WEBHOOK_ALLOW_PRIVATE',
};

/** Checks whether events reach the merchant's backend. It sends none. */
export async function checkWebhook({ webhook }: Config, db: Db): Promise<void> {
  if (webhook === undefined) return say(true, 'no webhook is configured');
  const endpoint = await findWebhookEndpoint(db, webhookEndpointId(webhook.url));
  if (endpoint?.state === 'disabled') {
    say(
      false,
      'the webhook address is disabled and its events are held: correct the receiver, then run "token-worker deliveries enable"',
    );
  } else if (endpoint?.failing_since != null) {
    say(
      false,
      `no event has reached the webhook since ${endpoint.failing_since.toISOString()}: its answers are in "token-worker deliveries list", correct the receiver`,
    );
  }
  const sender = createWebhookSender(webhook);
  try {
    const result = await sender.probe();
    say(
      result === 'answers',
      `the webhook address ${result === 'answers' ? 'answers' : remedies[result]}`,
    );
  } finally {
    await sender.close();
  }
}
