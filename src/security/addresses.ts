import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.process>;

/** A range of addresses, parsed by `parseAddressRange`. */
export interface AddressRange {
  readonly network: Address;
  /** The leading bits that an address must share with the network. */
  readonly bits: number;
}

/**
 * Public addresses that a cloud platform reserves for its machines. 168.63.129.16 is Azure's, which
 * serves certificates and settings.
 */
const platformAddresses: ReadonlySet<string> = new Set(['168.63.129.16']);

/** The deprecated form `::a.b.c.d`, which some systems still resolve to the IPv4 address in it. */
const ipv4Compatible = ipaddr.parse('::');

/**
 * Whether an address is on the public internet. Private, loopback, link-local, carrier-grade NAT,
 * documentation, tunnelled and metadata addresses are not. An IPv4 address mapped into IPv6 counts
 * as the IPv4 address.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const isCompatible = parsed.kind() === 'ipv6' && parsed.match(ipv4Compatible, 96);
  return parsed.range() === 'unicast' && !isCompatible && !platformAddresses.has(parsed.toString());
}

/**
 * Forms with which proxies write an address and a port: `192.0.2.7:443`, `[2001:db8::7]:443`. Any
 * sender may send a long text before the rate limit, so each repetition is bounded or can't overlap
 * what follows it.
 */
const addressWithPort =
  /^(?:\[([^\]]+)\](?::\d{1,5})?|((?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}):\d{1,5})$/i;

/**
 * An IPv6 address and a port without brackets. Where the text is also an address as a whole, as
 * `2001:db8::1:443` is, it counts as that address.
 */
const ipv6WithPort = /^([\da-f:.]{2,45}):\d{1,5}$/i;

/** The address alone, without the brackets, quotes and port that some proxies add to it. */
export function bareAddress(text: string): string {
  const trimmed = text.trim().replace(/^"([^"]*)"$/, '$1');
  const match = addressWithPort.exec(trimmed);
  const bare = match?.[1] ?? match?.[2] ?? trimmed;
  if (isIP(bare) !== 0) return bare;
  const unbracketed = ipv6WithPort.exec(bare)?.[1];
  return unbracketed !== undefined && isIP(unbracketed) === 6 ? unbracketed : bare;
}

/** Parses `192.0.2.7`, `192.0.2.0/24`, `2001:db8::7` or `2001:db8::/32`; else undefined. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  const bitsMax = version === 4 ? 32 : 128;
  const length = bits === undefined ? bitsMax : Number(bits);
  const isSound = /^\d{1,3}$/.test(bits ?? '0') && length <= bitsMax && rest.length === 0;
  if (version === 0 || !isSound) return undefined;
  const network = ipaddr.process(address);
  // An IPv4 range written as IPv6 is refused, since its bits count from another position.
  return network.kind() === `ipv${version}` ? { network, bits: length } : undefined;
}

/** Whether a range contains an address. An IPv4 address mapped into IPv6 counts as IPv4. */
export function isInRanges(address: string, ranges: readonly AddressRange[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return ranges.some(
    ({ network, bits }) => network.kind() === parsed.kind() && parsed.match(network, bits),
  );
}

/** The leading bits of an IPv6 address that one sender shares: a subscriber gets a whole /64. */
export const ipv6SenderBits = 64;
