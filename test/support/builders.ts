import { randomUUID } from 'node:crypto';
import { storeCredential } from '../../src/credential/store.ts';
import type { TransitionDoor } from '../../src/db/transition-door.ts';
import type { TokenizationRequestPayload } from '../../src/domain/payload/job-payloads.ts';

/** The actor of changes that tests make. */
export const testActor = { type: 'worker', id: 'test' } as const;

/** Adds an Accept Payments credential without usable secrets, for rows that refer to one. */
export async function addCredential(door: TransitionDoor): Promise<string> {
  const id = randomUUID();
  await door.apply({
    entity: 'credential',
    row: { id, version: 0, state: null },
    event: 'credential.added',
    patch: {
      name: `c-${id.slice(0, 8)}`,
      family: 'accept_payments',
      environment: 'sandbox',
      ...accountOf(id),
      secrets_sealed: 'sealed',
    },
    audit: { actor: testActor },
  });
  return id;
}

/** Stores the Accept Payments credential `default` with a secure code. */
export async function storeDefaultCredential(
  dependencies: Parameters<typeof storeCredential>[0],
): Promise<void> {
  await storeCredential(
    dependencies,
    {
      name: 'default',
      environment: 'sandbox',
      family: 'accept_payments',
      account: '995149',
      terminal: '99514901',
      secrets: { secureCode: 'code' },
    },
    testActor,
  );
}

/** An account and a terminal that no other credential has. */
function accountOf(credentialId: string): { readonly account: string; readonly terminal: string } {
  const terminal = String(Number.parseInt(credentialId.slice(0, 8), 16)).padStart(10, '1');
  return { account: '995149', terminal };
}

/** The columns of a new tokenization. */
export function tokenizationColumns(
  credentialId: string,
  reference: string = randomUUID(),
): Readonly<Record<string, unknown>> {
  return {
    credential_id: credentialId,
    ...accountOf(credentialId),
    merchant_reference_id: reference,
    gateway_reference: reference,
    request_digest: 'digest',
    request_sealed: 'sealed',
    currency: 'EUR',
    amount: '12.50',
    methods: 'Klarna',
  };
}

/** Adds a tokenization in state `requested` and returns its id. */
export async function addTokenization(
  door: TransitionDoor,
  credentialId: string,
  id: string = randomUUID(),
): Promise<string> {
  await door.apply({
    entity: 'tokenization',
    row: { id, version: 0, state: null },
    event: 'tokenization.requested',
    patch: tokenizationColumns(credentialId),
    audit: { actor: testActor },
  });
  return id;
}

/** A valid request of a backend. */
export function requestPayload(
  changes: { remark?: string; methods?: string; referenceId?: string; credential?: string } = {},
): TokenizationRequestPayload {
  return {
    v: 1,
    ...(changes.credential === undefined ? {} : { credential: changes.credential }),
    order: {
      currency: 'EUR',
      amount: '12.50',
      methods: changes.methods ?? 'Klarna',
      remark: changes.remark ?? '',
    },
    merchant: { referenceId: changes.referenceId ?? `tok-${randomUUID()}`.slice(0, 50) },
    billing: {
      firstname: 'Ada',
      lastname: 'Lovelace',
      email: 'ada@example.com',
      country: 'DE',
    },
    customer: { id: 'cust-77' },
  };
}
