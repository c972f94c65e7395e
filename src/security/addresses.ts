import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.process>;

/** Addresses from one up to a whole range, as `parseAddressRange` read them. */
export interface AddressRange {
  readonly network: Address;
  /** Leading bits that an address has to share with the network. */
  readonly bits: number;
}

/**
 * Addresses that answer to the machine alone although they lie among the public ones. 168.63.129.16 is Azure's: machines get their
 * certificates and settings from it.
 */
const platformAddresses: ReadonlySet<string> = new Set(['168.63.129.16']);

/** `::a.b.c.d`, long deprecated: some systems still take it for the IPv4 address in it. */
const ipv4Compatible = ipaddr.parse('::');

/**
 * Whether an address is on the public internet; an IPv4 address inside an IPv6 one counts as itself. Private, loopback, link-local, carrier-grade
 * NAT, documentation, tunnelled and metadata addresses are not.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const isCompatible = parsed.kind() === 'ipv6' && parsed.match(ipv4Compatible, 96);
  return parsed.range() === 'unicast' && !isCompatible && !platformAddresses.has(parsed.toString());
}

/** Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::7` or `2001:db8::/32`; undefined for anything else. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  const bitsMax = version === 4 ? 32 : 128;
  const length = bits === undefined ? bitsMax : Number(bits);
  const isSound = /^\d{1,3}$/.test(bits ?? '0') && length <= bitsMax && rest.length === 0;
  if (version === 0 || !isSound) return undefined;
  const network = ipaddr.process(address);
  // Written as IPv6, an IPv4 range would have to count its bits from elsewhere.
  return network.kind() === `ipv${version}` ? { network, bits: length } : undefined;
}

/** Whether an address lies in one of the ranges; an IPv4 address inside an IPv6 one counts as itself. */
export function isInRanges(address: string, ranges: readonly AddressRange[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return ranges.some(
    ({ network, bits }) => network.kind() === parsed.kind() && parsed.match(network, bits),
  );
}
