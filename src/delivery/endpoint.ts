import { findWebhookEndpoint } from '../db/deliveries.ts';
import type { Actor } from '../domain/audit-entry.ts';
import { AppError } from '../domain/errors.ts';
import { derivedId } from '../security/derived-id.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';

/** The id of a webhook address, derived from its URL. */
export function webhookEndpointId(url: string): string {
  return derivedId('webhook_endpoint', url);
}

/** Inserts a row for the merchant's webhook address, unless the address has one. */
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

/** Enables a disabled address. Throws `state_forbids` when no worker has registered it. */
export async function enableWebhookEndpoint(
  { db, door }: Pick<OperationDependencies, 'db' | 'door'>,
  url: string,
  actor: Actor,
): Promise<{ readonly wasDisabled: boolean }> {
  const row = await findWebhookEndpoint(db, webhookEndpointId(url));
  if (row === undefined) {
    throw new AppError(
      'state_forbids',
      'No worker has registered this webhook address yet; start one with it first.',
    );
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
