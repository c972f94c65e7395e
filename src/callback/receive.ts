import { findCredentialByAccount } from '../db/credentials.ts';
import { findTokenizationByEvidence } from '../db/tokenizations.ts';
import type { CallbackMessage } from '../gateway/callback-message.ts';
import { acceptCallback, type InboundMessage } from './accept.ts';
import { openAccount } from '../account/open-account.ts';
import type { OperationDependencies } from '../execution/dependencies.ts';
import { judgeSignature } from './signature-policy.ts';

/** What the receiver tells the listener: the message is kept, or was turned away for its signature. */
export interface Reception {
  readonly verdict: 'kept' | 'bad_signature';
  /** Where the browser goes next, for a redirect whose reference we know. */
  readonly returnUrl: string | undefined;
}

/**
 * Receives one message of the gateway: keeps it, then says so. While a new account is being set up, `reject` makes the gateway
 * keep its retries instead: a push whose signature is bad is then kept and still not acknowledged.
 */
export async function receiveCallback(
  dependencies: OperationDependencies,
  inbound: InboundMessage,
  onBadSignature: 'ack-and-quarantine' | 'reject',
): Promise<Reception> {
  const { message } = await acceptCallback(dependencies, inbound);
  if (inbound.channel === 'redirect') {
    return { verdict: 'kept', returnUrl: await returnUrlOf(dependencies, message) };
  }
  const isTurnedAway =
    onBadSignature === 'reject' && (await isSignatureBad(dependencies, inbound, message));
  return { verdict: isTurnedAway ? 'bad_signature' : 'kept', returnUrl: undefined };
}

/** The stored return address with our references added; never one that the message names. */
async function returnUrlOf(
  { db }: OperationDependencies,
  message: CallbackMessage | undefined,
): Promise<string | undefined> {
  const { account, terminal, merchantReferenceId, orderReferenceId } = message?.fields ?? {};
  if (account === undefined || terminal === undefined) return undefined;
  const row = await findTokenizationByEvidence(db, {
    account,
    terminal,
    merchantReferenceId,
    orderReferenceId,
  });
  if (row?.return_url === undefined || row.return_url === null) return undefined;
  const url = new URL(row.return_url);
  url.searchParams.set('merchantReferenceId', row.merchant_reference_id);
  url.searchParams.set('tokenizationId', row.id);
  return url.href;
}

async function isSignatureBad(
  { db, keyring, settings }: OperationDependencies,
  { channel }: InboundMessage,
  message: CallbackMessage | undefined,
): Promise<boolean> {
  const { account, terminal } = message?.fields ?? {};
  if (message === undefined || account === undefined || terminal === undefined) return true;
  const credential = await findCredentialByAccount(db, account, terminal);
  if (credential === undefined) return true;
  const { secureCodes } = openAccount(keyring, credential);
  return judgeSignature(message, secureCodes, settings.signatures[channel]).rejection !== undefined;
}
