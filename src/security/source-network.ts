import { isIPv6 } from 'node:net';

/**
 * The network that counts as one sender: of an IPv6 address its /64, since a subscriber gets a
 * whole one. Any other text stays as it is. Backends bundle this function, so it needs no package.
 */
export function networkOfSender(address: string): string {
  if (!isIPv6(address)) return address;
  const [unscoped = ''] = address.split('%');
  const [head = '', tail = ''] = canonicalForm(unscoped).split('::');
  const leading = groupsOf(head);
  const trailing = groupsOf(tail);
  if (leading.length === 0 && trailing[0] === 'ffff') return ipv4Of(trailing.slice(1));
  const zeros = Array.from({ length: 8 - leading.length - trailing.length }, () => '0');
  const network = [...leading, ...zeros, ...trailing].slice(0, 4);
  return canonicalForm(`${network.join(':')}::`);
}

/** Lower case, with the longest run of zeros as two colons; an IPv4 part becomes two groups. */
function canonicalForm(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}

/** An IPv4 address that an IPv6 socket reports is one sender by itself. */
function ipv4Of(groups: readonly string[]): string {
  const bytes = groups.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
  return bytes.join('.');
}
