import type { Suffices } from '../account/accounts.ts';
import type { TokenizationRow } from '../db/rows.ts';
import type { Channel } from '../domain/callback.ts';
import { findTokenizationByAddress, findTokenizationByEvidence } from '../db/tokenizations.ts';
import { callbackAddressDigest } from '../security/callback-address.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { acceptCallback, type InboundMessage } from './accept.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { judgeSignature } from './signature-policy.ts';

/** How the HTTP listener has to answer. */
export interface ReceivedCallback {
  /**
   * `bad_signature`: the message is stored, and the gateway must still not get its acknowledgement.
   */
  readonly verdict: 'kept' | 'bad_signature';
  /** Where the browser goes next, for a redirect with a known reference. */
  readonly returnUrl: string | undefined;
}

/** What became known by a message that could not be stored. */
export interface UnstorableCallback {
  /** Where the browser goes next, for a redirect. */
  readonly returnUrl: string | undefined;
  /** Why the worker will not query the gateway because of it. */
  readonly fault?: unknown;
}

/**
 * Stores one message of the gateway and returns the verdict for the listener. `reject` is for an
 * account that is being set up: a push with a bad signature is stored but not acknowledged, so the
 * gateway sends it again.
 */
export async function receiveCallback(
  dependencies: OperationDependencies,
  inbound: Omit<InboundMessage, 'addressedTo'> & {
    /** The last segment of a per-request URL; undefined for a shared URL. */
    readonly address?: string | undefined;
  },
  onBadSignature: 'ack-and-quarantine' | 'reject',
): Promise<ReceivedCallback> {
  const { address, ...received } = inbound;
  const addressed =
    address === undefined
      ? undefined
      : await findTokenizationByAddress(
          dependencies.db,
          inbound.channel,
          callbackAddressDigest(address),
        );
  const stored = { ...received, addressedTo: addressed?.id };
  const { message } = await acceptCallback(dependencies, stored);
  if (inbound.channel === 'redirect') {
    const row = addressed ?? (await findTokenizationOfSharedUrl(dependencies, message));
    return { verdict: 'kept', returnUrl: row && customerReturnUrl(row) };
  }
  const isProven = addressed !== undefined && dependencies.settings.notifyAddressProves;
  const isRefused =
    onBadSignature === 'reject' &&
    !isProven &&
    (await hasBadSignature(dependencies, inbound, message));
  return { verdict: isRefused ? 'bad_signature' : 'kept', returnUrl: undefined };
}

/**
 * Stores an empty message in place of one that came to a per-request URL and can't be stored, such
 * as one that is too large. The worker then queries the gateway, and a customer still gets back to
 * the shop. All such messages to one URL share a row. Undefined for an unknown address.
 */
export async function receiveUnstorable(
  dependencies: OperationDependencies,
  { channel, address }: { readonly channel: Channel; readonly address: string },
): Promise<UnstorableCallback | undefined> {
  const digest = callbackAddressDigest(address);
  const row = await findTokenizationByAddress(dependencies.db, channel, digest);
  if (row === undefined) return undefined;
  const returnUrl = channel === 'redirect' ? customerReturnUrl(row) : undefined;
  try {
    await acceptCallback(dependencies, {
      channel,
      contentType: undefined,
      body: new Uint8Array(),
      sourceIp: undefined,
      addressedTo: row.id,
    });
    return { returnUrl };
  } catch (fault) {
    return { returnUrl, fault };
  }
}

/**
 * The tokenization that a redirect to the shared URL names. A request with a per-request URL is
 * left out: only its customer knows that URL, and any caller may name a reference.
 */
async function findTokenizationOfSharedUrl(
  { db }: OperationDependencies,
  message: CallbackMessage | undefined,
): Promise<TokenizationRow | undefined> {
  const { account, terminal, merchantReferenceId, orderReferenceId } = message?.fields ?? {};
  if (account === undefined || terminal === undefined) return undefined;
  const row = await findTokenizationByEvidence(db, {
    account,
    terminal,
    merchantReferenceId,
    orderReferenceId,
  });
  return row?.redirect_address === null ? row : undefined;
}

/** The stored return address plus our references. An address in the message is never used. */
function customerReturnUrl(row: TokenizationRow): string | undefined {
  if (row.return_url === null) return undefined;
  const url = new URL(row.return_url);
  url.searchParams.set('merchantReferenceId', row.merchant_reference_id);
  url.searchParams.set('tokenizationId', row.id);
  return url.href;
}

async function hasBadSignature(
  { accounts, settings }: OperationDependencies,
  { channel }: InboundMessage,
  message: CallbackMessage | undefined,
): Promise<boolean> {
  const { account, terminal } = message?.fields ?? {};
  if (message === undefined || account === undefined || terminal === undefined) return true;
  const isRight: Suffices = (stored) =>
    judgeSignature(message, stored.open().secureCodes, settings.signatures[channel]).rejection ===
    undefined;
  const stored = await accounts.findByAccount(account, terminal, isRight);
  return stored === undefined || !isRight(stored);
}
