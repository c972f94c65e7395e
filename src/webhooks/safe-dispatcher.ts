import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';
import { isPublicAddress } from '../security/addresses.ts';

/** Refused: the name leads to an address that is not on the public internet. */
export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
  readonly code = 'ADDRESS_FORBIDDEN';
}

/** Choices of a dispatcher. Times in milliseconds. */
export interface SafeDispatcherOptions {
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
  /** How names are resolved; the system's way by default. */
  readonly lookup?: LookupFunction;
}

const connectionsMax = 16;

/**
 * A dispatcher that connects to public addresses only. The check is made on the addresses that the connection is then made to, within the
 * same lookup, so a name that changes between two lookups (DNS rebinding) gains nothing. Addresses written into the URL are
 * checked too. Private, loopback, link-local, carrier-grade NAT, documentation, metadata and tunnelled ranges are refused.
 */
export function createSafeDispatcher(options: SafeDispatcherOptions): Agent {
  const { allowPrivate, timeoutMs } = options;
  const resolve = options.lookup ?? systemLookup;
  const lookup: LookupFunction = (hostname, lookupOptions, callback) => {
    resolve(hostname, lookupOptions, (error, address, family) => {
      if (error !== null) return callback(error, address, family);
      const addresses = Array.isArray(address) ? address.map((one) => one.address) : [address];
      // A public host has no private address: one is enough to refuse them all.
      if (!allowPrivate && !addresses.every(isPublicAddress)) {
        return callback(new ForbiddenAddressError('The address is not public.'), '');
      }
      callback(null, address, family);
    });
  };
  const connect = buildConnector({ timeout: timeoutMs, lookup });
  return new Agent({
    connections: connectionsMax,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect(target, callback) {
      const host = target.hostname.replace(/^\[|\]$/g, '');
      // The system does not look up what is an address already.
      if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) {
        callback(new ForbiddenAddressError('The address is not public.'), null);
        return;
      }
      connect(target, callback);
    },
  });
}
