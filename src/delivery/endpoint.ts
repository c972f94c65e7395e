import { findWebhookEndpoint } from '../db/deliveries.ts';
import type { WebhookEndpointRow } from '../db/rows.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { derivedId } from '../security/derived-id.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';

/** The id of a webhook address. */
export function webhookEndpointId(url: string): string {
  return derivedId('webhook_endpoint', url);
}

/** Makes sure that the merchant's webhook address has a row. */
export async function registerWebhookEndpoint(
  { db, door }: Pick<OperationDependencies, 'db' | 'door'>,
  url: string,
): Promise<void> {
  const id = webhookEndpointId(url);
  if ((await findWebhookEndpoint(db, id)) !== undefined) return;
  await door.apply({
    entity: 'webhook_endpoint',
    row: { id, version: 0, state: null },
    event: 'webhook_endpoint.registered',
    patch: { host: new URL(url).hostname },
    audit: { actor: { type: 'operator', id: 'environment' } },
  });
}

/** Enables an address that was disabled. Throws `state_forbids` when it was never registered. */
export async function enableWebhookEndpoint(
  { db, door }: Pick<OperationDependencies, 'db' | 'door'>,
  url: string,
  actor: Actor,
): Promise<{ readonly wasDisabled: boolean }> {
  const row: WebhookEndpointRow | undefined = await findWebhookEndpoint(db, webhookEndpointId(url));
  if (row === undefined) {
    throw new AppError('state_forbids', 'No worker has used this webhook address yet.');
  }
  if (row.state === 'enabled') return { wasDisabled: false };
  await door.apply({
    entity: 'webhook_endpoint',
    row,
    event: 'webhook_endpoint.enabled',
    patch: { failing_since: null },
    audit: { actor },
  });
  return { wasDisabled: true };
}
