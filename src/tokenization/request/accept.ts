import { randomUUID } from 'node:crypto';
import type { StoredAccount, Suffices } from '../../account/accounts.ts';
import type { TokenizationRow } from '../../db/rows.ts';
import {
  findTokenizationByEvidence,
  findTokenizationByReference,
  newRowOf,
} from '../../db/tokenizations.ts';
import type { TransitionRequest } from '../../db/transition-request.ts';
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
import { requestGraceMs, requestJob } from '../../domain/outbox-job.ts';
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

/** A request that was checked and sealed, and is not committed yet. */
export interface TokenizationDraft {
  readonly id: string;
  readonly stored: StoredAccount;
  /** The request body for the gateway. */
  readonly request: QuickPayRequest;
  readonly columns: Readonly<Record<string, unknown>>;
  readonly key: {
    readonly account: string;
    readonly terminal: string;
    readonly merchantReferenceId: string;
  };
  readonly fingerprint: string;
}

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
  let suffices: Suffices = isActive;
  return await retryOnStaleVersion(async () => {
    const draft = await draftTokenization(dependencies, payload, { id: options.id, suffices });
    const jobs = options.isContinuedByCaller === true ? [] : [requestJob(draft.id, 1)];
    const created = await storeDraft(dependencies, draft, { audit: options.audit, jobs });
    if (created !== undefined) return { tokenization: created, isNew: true };
    // The reference is known, or the credential was removed or got another account.
    suffices = () => false;
    const known = await findRepeated(dependencies, draft);
    return known && { tokenization: known, isNew: false };
  });
}

/**
 * Checks and seals a request. Throws as `acceptTokenization` does, except for a reference that was
 * used with other content.
 */
export async function draftTokenization(
  dependencies: BackendDependencies,
  payload: TokenizationRequestPayload,
  {
    id = randomUUID(),
    suffices = isActive,
  }: { readonly id?: string | undefined; readonly suffices?: Suffices } = {},
): Promise<TokenizationDraft> {
  const { keyring, settings } = dependencies;
  const stored = await getActiveAccount(dependencies, payload.credential ?? 'default', suffices);
  const { id: credentialId, account, terminal } = stored.credential;
  const addresses = newAddresses(payload, settings);
  const request = quickPayRequestOf(payload, settings.callbackPublicUrl, addresses);
  assertReturnUrl(payload.returnUrl, settings.returnUrlHosts);

  const merchantReferenceId = payload.merchant.referenceId;
  const key = { account, terminal, merchantReferenceId };
  await assertNotGivenToLostRequest(dependencies, key);
  const fingerprint = fingerprintOf(payload);
  const columns = {
    credential_id: credentialId,
    account,
    terminal,
    merchant_reference_id: merchantReferenceId,
    gateway_reference: merchantReferenceId,
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
    reconcile_at_in_ms: requestGraceMs,
  };
  return { id, stored, request, columns, key, fingerprint };
}

/**
 * Commits a draft, and with it the changes that follow. Undefined when its reference is known, or
 * when the credential was removed, or got another account, after it was read.
 */
export async function storeDraft(
  { door }: BackendDependencies,
  { id, columns }: TokenizationDraft,
  change: Pick<TransitionRequest<'tokenization'>, 'audit' | 'jobs' | 'followedBy'>,
): Promise<TokenizationRow | undefined> {
  const request = {
    entity: 'tokenization',
    row: { id, version: 0, state: null },
    event: 'tokenization.requested',
    patch: columns,
    ...change,
  } as const;
  const outcome = await door.apply(request);
  return outcome.isApplied ? newRowOf(request, outcome) : undefined;
}

/** The tokenization that an earlier request with the same reference and content made. */
async function findRepeated(
  { db, keyring }: BackendDependencies,
  { key, fingerprint }: TokenizationDraft,
): Promise<TokenizationRow | undefined> {
  const known = await findTokenizationByReference(db, key);
  if (
    known === undefined ||
    keyring.matchesBlindIndex('request', fingerprint, known.request_digest)
  ) {
    return known;
  }
  throw new AppError(
    'reference_conflict',
    'This merchant reference was already used for a request with other content.',
    { paths: ['merchant.referenceId'] },
  );
}

/**
 * The worker makes a new reference when it resubmits a lost request. A merchant cannot use that
 * reference for another request.
 */
async function assertNotGivenToLostRequest(
  { db }: BackendDependencies,
  key: TokenizationDraft['key'],
): Promise<void> {
  const reference = key.merchantReferenceId;
  if (!isGivenReference(reference)) return;
  const other = await findTokenizationByEvidence(db, { ...key, orderReferenceId: undefined });
  if (other === undefined || other.merchant_reference_id === reference) return;
  throw new AppError(
    'reference_conflict',
    'The worker made this merchant reference when it resubmitted another request; use a different reference.',
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

type ActiveAccount = StoredAccount & {
  readonly credential: { readonly account: string; readonly terminal: string };
};

async function getActiveAccount(
  { accounts }: BackendDependencies,
  name: string,
  suffices: Suffices,
): Promise<ActiveAccount> {
  const stored = await accounts.findByName(name, suffices);
  if (stored !== undefined && isActive(stored)) return stored;
  throw new AppError(
    'credential_not_found',
    'No active Accept Payments credential has this name.',
    { paths: ['credential'] },
  );
}

function isActive(stored: StoredAccount): stored is ActiveAccount {
  const { state, account, terminal } = stored.credential;
  return state === 'active' && account !== null && terminal !== null;
}

/** The addresses of a request's per-request callback URLs; undefined where it uses another URL. */
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
