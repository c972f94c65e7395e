import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, type Dispatcher, ProxyAgent } from 'undici';
import { isPublicAddress } from '../security/addresses.ts';

/** A refused connection: the host resolves to an address that is not on the public internet. */
class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';
  readonly code = 'ADDRESS_FORBIDDEN';
}

/** The options of a dispatcher. Times are in milliseconds. */
export interface SafeDispatcherOptions {
  readonly allowPrivate: boolean;
  readonly timeoutMs: number;
  /** Resolves host names; default: the system's resolver. */
  readonly lookup?: LookupFunction;
  /** A proxy, which then decides which addresses it connects to. */
  readonly proxyUrl?: string | undefined;
}

const connectionsMax = 16;

/**
 * Creates a dispatcher that connects to public addresses only. A URL that holds an IP address is
 * checked too. The dispatcher checks the addresses that the connection's own DNS lookup returns.
 * DNS rebinding (another address at a second lookup) therefore has no effect. `isPublicAddress`
 * names the refused ranges. With a proxy, the proxy resolves the host and guards the addresses.
 */
export function createSafeDispatcher(options: SafeDispatcherOptions): Dispatcher {
  const { allowPrivate, timeoutMs, proxyUrl } = options;
  const settings = {
    connections: connectionsMax,
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  };
  if (proxyUrl !== undefined) {
    return new ProxyAgent({
      ...settings,
      uri: proxyUrl,
      connectTimeout: timeoutMs,
      proxyTunnel: true,
    });
  }
  const resolve = options.lookup ?? systemLookup;
  const lookup: LookupFunction = (hostname, lookupOptions, callback) => {
    resolve(hostname, lookupOptions, (error, address, family) => {
      if (error !== null) return callback(error, address, family);
      const addresses = Array.isArray(address) ? address.map((one) => one.address) : [address];
      // One private address is enough to refuse the host, since public hosts have none.
      if (!allowPrivate && !addresses.every(isPublicAddress)) {
        return callback(new ForbiddenAddressError('The host has a private address.'), '');
      }
      callback(null, address, family);
    });
  };
  const connect = buildConnector({ timeout: timeoutMs, lookup });
  return new Agent({
    ...settings,
    connect(target, callback) {
      const host = target.hostname.replace(/^\[|\]$/g, '');
      // The lookup above does not run for a host that is an address already.
      if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) {
        callback(new ForbiddenAddressError('The address is not public.'), null);
        return;
      }
      connect(target, callback);
    },
  });
}
