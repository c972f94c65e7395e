import { randomUUID } from 'node:crypto';
import { findCredential } from '../../db/credentials.ts';
import type { CredentialRow, TokenizationRow } from '../../db/rows.ts';
import { findTokenizationByEvidence, findTokenizationByReference } from '../../db/tokenizations.ts';
import { isGivenReference } from '../../domain/given-reference.ts';
import type { AuditContext } from '../../domain/audit-entry.ts';
import type { Channel } from '../../domain/callback.ts';
import { callbackAddressDigest, generateCallbackAddress } from '../../security/callback-address.ts';
import { AppError } from '../../domain/errors.ts';
import {
  tokenizationRequestPayload,
  type TokenizationRequestPayload,
} from '../../domain/payload/job-payloads.ts';
import { isHostAllowed } from '../../domain/host-allow-list.ts';
import type { QuickPayRequest } from '../../gateway/client.ts';
import { retryOnStaleVersion } from '../../db/retry-stale.ts';
import type { BackendDependencies } from '../../execution/dependencies.ts';
import { requestJob } from '../../domain/outbox-job.ts';
import { sealedPlace } from '../../db/sealed-place.ts';

/** The tokenization of a request, and whether this request created it. */
export interface AcceptedTokenization {
  readonly tokenization: TokenizationRow;
  readonly isNew: boolean;
}

export interface AcceptOptions {
  readonly audit: AuditContext;
  /** The id for a new tokenization, where the caller has already given one out. */
  readonly id?: string;
  /** Whether the caller sends the request itself, so that no job is needed. */
  readonly isContinuedByCaller?: boolean;
}

/** How long a new request waits for its job before the scan enqueues it again. */
const jobGraceMs = 5_000;

/**
 * Commits a request for a QuickPay ID, sealed, with its audit row and its job. A trigger enqueues
 * the messages that arrived before their request. A repeated request with the same reference and
 * content returns the same tokenization.
 *
 * Throws `reference_conflict` when the reference was used with other content,
 * `credential_not_found`, `return_url_not_allowed`, or `payload_invalid` with the paths that are
 * missing.
 */
export async function acceptTokenization(
  dependencies: BackendDependencies,
  payload: TokenizationRequestPayload,
  options: AcceptOptions,
): Promise<AcceptedTokenization> {
  return await retryOnStaleVersion(async () => await acceptOnce(dependencies, payload, options));
}

/** Undefined when the credential was removed, or got another account, after it was read. */
async function acceptOnce(
  dependencies: BackendDependencies,
  payload: TokenizationRequestPayload,
  options: AcceptOptions,
): Promise<AcceptedTokenization | undefined> {
  const { db, door, keyring, settings } = dependencies;
  const credential = await getActiveCredential(dependencies, payload.credential ?? 'default');
  const addresses = newAddresses(payload, settings);
  const request = quickPayRequestOf(payload, settings.callbackPublicUrl, addresses);
  assertReturnUrl(payload.returnUrl, settings.returnUrlHosts);

  await assertNotGivenToLostRequest(dependencies, credential, payload.merchant.referenceId);
  const id = options.id ?? randomUUID();
  const fingerprint = fingerprintOf(payload);
  const outcome = await door.apply({
    entity: 'tokenization',
    row: { id, version: 0, state: null },
    event: 'tokenization.requested',
    patch: {
      credential_id: credential.id,
      account: credential.account,
      terminal: credential.terminal,
      merchant_reference_id: payload.merchant.referenceId,
      gateway_reference: payload.merchant.referenceId,
      customer_index: keyring.blindIndex('customer', payload.customer.id),
      request_digest: keyring.blindIndex('request', fingerprint),
      request_sealed: keyring.seal(
        sealedPlace('tokenization', 'request_sealed', id),
        JSON.stringify(request),
      ),
      currency: payload.order.currency,
      amount: payload.order.amount,
      methods: payload.order.methods,
      return_url: payload.returnUrl ?? null,
      redirect_address: digestOf(addresses.redirect),
      notify_address: digestOf(addresses.notify),
      reconcile_at_in_ms: jobGraceMs,
    },
    audit: options.audit,
    jobs: options.isContinuedByCaller === true ? [] : [requestJob(id, 1)],
  });

  const tokenization = await findTokenizationByReference(db, {
    account: credential.account,
    terminal: credential.terminal,
    merchantReferenceId: payload.merchant.referenceId,
  });
  if (tokenization === undefined) return undefined;
  if (!keyring.matchesBlindIndex('request', fingerprint, tokenization.request_digest)) {
    throw new AppError(
      'reference_conflict',
      'This merchant reference was already used for a request with other content.',
      { paths: ['merchant.referenceId'] },
    );
  }
  return { tokenization, isNew: outcome.isApplied };
}

/**
 * The worker makes a new reference when it resubmits a lost request. A merchant cannot use that
 * reference for another request.
 */
async function assertNotGivenToLostRequest(
  { db }: BackendDependencies,
  { account, terminal }: { readonly account: string; readonly terminal: string },
  reference: string,
): Promise<void> {
  if (!isGivenReference(reference)) return;
  const other = await findTokenizationByEvidence(db, {
    account,
    terminal,
    merchantReferenceId: reference,
    orderReferenceId: undefined,
  });
  if (other === undefined || other.merchant_reference_id === reference) return;
  throw new AppError(
    'reference_conflict',
    'The worker made this merchant reference when it resubmitted another request; use another one.',
    {
      paths: ['merchant.referenceId'],
    },
  );
}

/**
 * The content that makes two requests the same: every field of the backend, in the schema's order.
 * Addresses that the worker fills in are left out, so that a changed CALLBACK_PUBLIC_URL does not
 * turn a repeated request into a conflict.
 */
function fingerprintOf(payload: TokenizationRequestPayload): string {
  const { v: _, credential: __, ...content } = tokenizationRequestPayload.parse(payload);
  return JSON.stringify(content);
}

async function getActiveCredential(
  { db }: BackendDependencies,
  name: string,
): Promise<CredentialRow & { account: string; terminal: string }> {
  const row = await findCredential(db, name, 'accept_payments');
  if (
    row === undefined ||
    row.state !== 'active' ||
    row.account === null ||
    row.terminal === null
  ) {
    throw new AppError(
      'credential_not_found',
      'No active Accept Payments credential has this name.',
      { paths: ['credential'] },
    );
  }
  return { ...row, account: row.account, terminal: row.terminal };
}

/** The addresses of a request's own callback URLs; undefined where it uses another URL. */
interface CallbackAddresses {
  readonly redirect: string | undefined;
  readonly notify: string | undefined;
}

function newAddresses(
  { order }: TokenizationRequestPayload,
  { callbackAddresses }: BackendDependencies['settings'],
): CallbackAddresses {
  const isShared = callbackAddresses === 'shared';
  return {
    redirect: isShared || order.redirectUrl !== undefined ? undefined : generateCallbackAddress(),
    notify: isShared || order.notifyUrl !== undefined ? undefined : generateCallbackAddress(),
  };
}

function digestOf(address: string | undefined): string | null {
  return address === undefined ? null : callbackAddressDigest(address);
}

/**
 * The request body for the gateway, with the worker's callback routes where the backend names none.
 */
function quickPayRequestOf(
  payload: TokenizationRequestPayload,
  callbackPublicUrl: string | undefined,
  addresses: CallbackAddresses,
): QuickPayRequest {
  const { v: _, credential: __, returnUrl: ___, order, ...rest } = payload;
  const base = callbackPublicUrl?.replace(/\/+$/, '');
  const routeOf = (channel: Channel): string | undefined =>
    base && [base, 'callbacks', channel, addresses[channel]].filter(Boolean).join('/');
  const redirectUrl = order.redirectUrl ?? routeOf('redirect');
  const notifyUrl = order.notifyUrl ?? routeOf('notify');
  if (redirectUrl === undefined || notifyUrl === undefined) {
    throw new AppError(
      'payload_invalid',
      'The request names no callback addresses. Name order.redirectUrl and order.notifyUrl, or set CALLBACK_PUBLIC_URL.',
      { paths: ['order.redirectUrl', 'order.notifyUrl'] },
    );
  }
  return { ...rest, order: { ...order, redirectUrl, notifyUrl } };
}

/** An unchecked return address would make the redirect route an open redirect. */
function assertReturnUrl(returnUrl: string | undefined, hosts: readonly string[]): void {
  if (returnUrl === undefined) return;
  if (!isHostAllowed(new URL(returnUrl).hostname, hosts)) {
    throw new AppError(
      'return_url_not_allowed',
      'The host of returnUrl is not allowed. Add it to RETURN_URL_HOSTS.',
      {
        paths: ['returnUrl'],
      },
    );
  }
}
